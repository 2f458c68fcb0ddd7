"""Takes the captures of fixtures/captures again that have a JSON file beside them: `python -m tests.record`.

That file is what `mmu fault --json` said of the live guest, and of Linux what `mmu map --json` said.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gdbtools.children.mi import Gdb
from gdbtools.children.processes import find_gdb
from tests.guests.test_linux import KERNEL, Shape
from tests.guests.test_linux_repairs import stopped
from tests.live.denials import MAX
from tests.live.session import INIT
from tests.live.verdicts import Planted, planted, symbol
from tests.places import ROOT

FOLDER = ROOT / "fixtures/captures"
VERDICTS = FOLDER / "verdicts"
LINUX = Shape("6.1-4k", "cortex-a57")
TWO: Mapping[str, Any] = {"cpus": 2}
LARGE_PAGES: Mapping[str, Any] = {"cpu": "max", "granule_bits": 14}
GUEST: Mapping[str, Any] = {"hypervisor": True}
SCENARIOS: Mapping[str, Mapping[str, Any]] = {
    "invalid_page": {},
    "read_only": {},
    "privileged_only": {},
    "unprivileged_load": {},
    "privileged_execute_never": {},
    "write_execute_never": {},
    "privileged_access_never": MAX,
    "el0_prevented": MAX,
    "table_read_only": {},
    "outside_range": {},
    "tagged_fetch": MAX,
    "lower_half_disabled": {},
    "not_accessed": {},
    "output_too_large": {},
    "root_too_large": {},
    "stage2_unmapped": GUEST,
    "stage2_read_only": GUEST,
    "stage2_no_table": GUEST,
    "alignment": {},
    "supervisor_call": {},
    "set_way": GUEST,
    "both_read_only": TWO,
    "granted_without_tlbi": {},
    "granted_with_wrong_tlbi": LARGE_PAGES,
    "made_without_barrier": {},
    "rebuilt_as_block": {},
    "made_read_only_since": {},
}
"""One of each verdict and each kind of deciding bit, with what it needs of the machine."""
WHOLE = ("stage2_no_table",)
"""What the tables do not explain that the walk touched: the guest's device tree says what there is at an address."""


def to_fault(live: Planted, scenario: str, needs: Mapping[str, Any]) -> None:
    if scenario == "both_read_only":
        # The second CPU's fault, which the first one's handler has repaired.
        live.say(f"hbreak *{symbol('vectors') + 0x200} thread 2")
        live.say("continue")
    else:
        live.to_fault(symbol("vectors_el2") if needs is GUEST else None)


def verdicts() -> None:
    VERDICTS.mkdir(exist_ok=True)
    with Gdb(find_gdb(), INIT) as gdb:
        for scenario, needs in SCENARIOS.items():
            with planted(gdb, scenario, **needs) as live:
                to_fault(live, scenario, needs)
                tables = "" if scenario in WHOLE else "--tables touched"
                live.say(f"mmu capture {VERDICTS / scenario}.core {tables}")
                (answer,) = live.ask("fault")
            # The debugger's, not the source's.
            del answer["symbols"]
            answer.get("second_stage", {}).pop("machine_has", None)
            (VERDICTS / f"{scenario}.json").write_text(json.dumps(answer) + "\n")
            print(f"{scenario}: {answer['sentence']}")


def linux() -> None:
    """Take one of a real kernel, with all of its tables and those of the process that it is working for."""
    core = FOLDER / "linux-6.1.core"
    with LINUX.guest() as guest, guest.process(KERNEL), Gdb(find_gdb(), INIT) as gdb, stopped(guest, gdb, 1) as session:
        session.say(f"mmu capture {core}")
        (answer,) = session.ask("map")
    core.with_suffix(".json").write_text(json.dumps(answer) + "\n")
    print(f"{core.name}: {len(answer['runs'])} runs")


def main() -> None:
    verdicts()
    linux()


if __name__ == "__main__":
    main()
