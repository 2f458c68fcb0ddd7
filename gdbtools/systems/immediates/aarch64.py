"""What well-known immediates mean: BRK's comment, and what SVC, HVC and SMC call.

An immediate is a convention of whoever wrote the code, so each answer names the owner of the convention.  Sources:
Linux arch/arm64/include/asm/brk-imm.h and arch/arm64/kernel/traps.c; Clang's SanitizerHandler; DEN0028 (SMCCC),
DEN0022 (PSCI), DEN0054 (SDEI), DEN0057 (PV_TIME), DEN0077 (FF-A), DEN0098 (TRNG), DEN0100 (errata management) and
DEN0137 (RMM); Xen public/xen.h.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from gdbtools.arch.aarch64.syndrome import EC, ESR_ELx
from gdbtools.arch.model import ReadRegister, Syndrome, optional
from gdbtools.bits import Field, Word
from gdbtools.systems.system import System
from gdbtools.wording import number_of

BRK: Final[Mapping[int, str]] = {
    0x0000: "GDB or LLDB: breakpoint",
    0x0001: "Clang: __builtin_trap; Xen: BUG or WARN",
    0x0004: "Linux: kprobe",
    0x0005: "Linux: uprobe",
    0x0006: "Linux: kprobe, single step",
    0x0007: "Linux: kretprobe, return",
    0x0100: "Linux: fault on purpose",
    0x03E8: "GCC: __builtin_trap",
    0x0400: "Linux: KGDB, breakpoint set at run time",
    0x0401: "Linux: KGDB, breakpoint compiled in",
    0x0800: "Linux: BUG or WARN",
    0xC470: "Darwin: pointer authentication failed, key IA",
    0xC471: "Darwin: pointer authentication failed, key IB",
    0xC472: "Darwin: pointer authentication failed, key DA",
    0xC473: "Darwin: pointer authentication failed, key DB",
    0xF000: "Windows: breakpoint; Clang: __builtin_debugtrap",
    0xF001: "Windows: assertion failed",
    0xF002: "Windows: debug service",
    0xF003: "Windows: __fastfail, its code in w0",
    0xF004: "Windows: division by zero",
}
HVC: Final[Mapping[int, str]] = {
    0x0000: "SMCCC: function identifier in w0; Linux's stub at EL2: its function in x0",
    0x0EA1: "Xen: hypercall number in x16",
    0x4A48: "Jailhouse: hypercall code in x0",
}
SVC: Final[Mapping[int, str]] = {
    0x0000: "Linux: system call number in x8",
    0x0080: "Darwin: system call number in x16, a Mach trap where it is negative",
    0xDBDB: "EDK2: CpuBreakpoint",
}
LINUX_STUB: Final[Mapping[int, str]] = dict(
    enumerate(("HVC_SET_VECTORS", "HVC_SOFT_RESTART", "HVC_RESET_VECTORS", "HVC_FINALISE_EL2", "HVC_GET_ICH_VTR_EL2"))
)
"""Of x0 at HVC #0, while Linux has no hypervisor of its own at EL2."""

UBSAN_CHECKS: Final = (
    "add overflow",
    "builtin unreachable",
    "cfi check fail",
    "divrem overflow",
    "dynamic type cache miss",
    "float cast overflow",
    "function type mismatch",
    "implicit conversion",
    "invalid builtin",
    "invalid objc cast",
    "load invalid value",
    "missing return",
    "mul overflow",
    "negate overflow",
    "nullability arg",
    "nullability return",
    "nonnull arg",
    "nonnull return",
    "out of bounds",
    "pointer overflow",
    "shift out of bounds",
    "sub overflow",
    "type mismatch",
    "alignment assumption",
    "vla bound not positive",
)
"""In the order of Clang's SanitizerHandler, which is an ABI."""


class KasanComment(Word):
    """BRK's comment where a tag check in software failed: Linux KASAN, and HWASan in user space."""

    width = 16
    base = Field((15, 8), doc="0x09")
    recover = Field(5, doc="execution may go on")
    write = Field(4, doc="write, not read")
    log2_size = Field((3, 0), doc="log2 of the access size in bytes")


class UbsanComment(Word):
    """BRK's comment where Clang's undefined behaviour sanitizer traps."""

    width = 16
    base = Field((15, 8), doc="0x55, a U")
    check = Field((7, 0), doc="which check", values=dict(enumerate(UBSAN_CHECKS)))


class CfiComment(Word):
    """BRK's comment where an indirect call's type is wrong: Clang's kCFI, as Linux uses it."""

    width = 16
    base = Field((15, 10), doc="0x8000")
    type_register = Field((9, 5), doc="W register with the expected type")
    target_register = Field((4, 0), doc="X register with the call's target")


def _kasan(immediate: int) -> str:
    comment = KasanComment(immediate)
    size = 1 << comment.log2_size
    access = f"{'write' if comment.write else 'read'} of {number_of(size, 'byte')}"
    return f"Linux: KASAN, {access}{', recoverable' if comment.recover else ''}"


def _ubsan(immediate: int) -> str:
    check = UbsanComment(immediate).check
    return f"Clang: UBSAN, {UbsanComment.check.meaning(check) or f'check {check:#x}'}"


def _cfi(immediate: int) -> str:
    comment = CfiComment(immediate)
    return f"Linux: CFI, call to x{comment.target_register} whose type is not that in w{comment.type_register}"


def _kgdb(_immediate: int) -> str:
    return "Linux: KGDB"


_BRK_RANGES: Final[tuple[tuple[range, Callable[[int], str]], ...]] = (
    (range(0x0400, 0x0800), _kgdb),
    (range(0x0900, 0x0A00), _kasan),
    (range(0x5500, 0x5600), _ubsan),
    (range(0x8000, 0x8400), _cfi),
)


def brk_comment(immediate: int) -> str:
    """Return whose BRK this is and what it reports, or give an empty string where that is not known."""
    if immediate in BRK:
        return BRK[immediate]
    return next((decode(immediate) for numbers, decode in _BRK_RANGES if immediate in numbers), "")


def hvc_comment(immediate: int) -> str:
    """Return whose HVC this is and where its arguments are, or give an empty string where that is not known."""
    return HVC.get(immediate, "")


def svc_comment(immediate: int) -> str:
    """Return whose SVC this is and where its arguments are, or give an empty string where that is not known.

    The immediate says little: other systems use 0 too, and Windows has the number of the system call there.
    """
    return SVC.get(immediate, "")


ARCHITECTURE, CPU, STANDARD_SECURE, STANDARD_HYPERVISOR, VENDOR_HYPERVISOR = 0, 1, 4, 5, 6
OWNERS: Final[Mapping[int, str]] = {
    ARCHITECTURE: "Arm Architecture",
    CPU: "CPU",
    2: "SiP",
    3: "OEM",
    STANDARD_SECURE: "Standard Secure",
    STANDARD_HYPERVISOR: "Standard Hypervisor",
    VENDOR_HYPERVISOR: "Vendor Specific Hypervisor",
    7: "Vendor Specific EL3 Monitor",
    **dict.fromkeys(range(48, 50), "Trusted Application"),
    **dict.fromkeys(range(50, 64), "Trusted OS"),
}


class FunctionIdentifier(Word):
    """W0 of an SMC or HVC that keeps to the SMC Calling Convention (DEN0028, "Function identifiers")."""

    width = 32
    fast = Field(31, doc="Fast Call, not Yielding Call", values={0: "Yielding Call", 1: "Fast Call"})
    SMC64 = Field(30, doc="SMC64, not SMC32", values={0: "SMC32", 1: "SMC64"})
    owner = Field((29, 24), doc="owning entity", values=OWNERS)
    hint = Field(16, doc="no live SVE state", values={0: "may have live SVE state", 1: "has no live SVE state"})
    number = Field((15, 0), doc="function number")


def function_identifier(w0: int) -> FunctionIdentifier:
    """Take W0 apart as an SMCCC function identifier; bits above 31 are not part of it."""
    return FunctionIdentifier(w0 & 0xFFFF_FFFF)


@dataclass(frozen=True, slots=True)
class CallService:
    """Functions of one specification: by their numbers, those of SMC32 and those of SMC64."""

    name: str
    owner: int
    smc32: Mapping[int, str]
    smc64: Mapping[int, str]
    fast: int = 1


def _from(first: int, *names: str) -> dict[int, str]:
    return {number: name for number, name in enumerate(names, first) if name}


def _only(functions: Mapping[int, str], *numbers: int) -> dict[int, str]:
    return {number: functions[number] for number in numbers}


_PSCI = _from(
    0x00, "VERSION", "CPU_SUSPEND", "CPU_OFF", "CPU_ON", "AFFINITY_INFO", "MIGRATE", "MIGRATE_INFO_TYPE",
    "MIGRATE_INFO_UP_CPU", "SYSTEM_OFF", "SYSTEM_RESET", "FEATURES", "CPU_FREEZE", "CPU_DEFAULT_SUSPEND",
    "NODE_HW_STATE", "SYSTEM_SUSPEND", "SET_SUSPEND_MODE", "STAT_RESIDENCY", "STAT_COUNT", "SYSTEM_RESET2",
    "MEM_PROTECT", "MEM_PROTECT_CHECK_RANGE", "SYSTEM_OFF2",
)  # fmt: skip
_SDEI = _from(
    0x20, "VERSION", "EVENT_REGISTER", "EVENT_ENABLE", "EVENT_DISABLE", "EVENT_CONTEXT", "EVENT_COMPLETE",
    "EVENT_COMPLETE_AND_RESUME", "EVENT_UNREGISTER", "EVENT_STATUS", "EVENT_GET_INFO", "EVENT_ROUTING_SET", "PE_MASK",
    "PE_UNMASK", "INTERRUPT_BIND", "INTERRUPT_RELEASE", "EVENT_SIGNAL", "FEATURES", "PRIVATE_RESET", "SHARED_RESET",
)  # fmt: skip
_TRNG = _from(0x50, "VERSION", "FEATURES", "GET_UUID", "RND")
_FFA = _from(
    0x60, "ERROR", "SUCCESS", "INTERRUPT", "VERSION", "FEATURES", "RX_RELEASE", "RXTX_MAP", "RXTX_UNMAP",
    "PARTITION_INFO_GET", "ID_GET", "MSG_POLL", "MSG_WAIT", "YIELD", "RUN", "MSG_SEND", "MSG_SEND_DIRECT_REQ",
    "MSG_SEND_DIRECT_RESP", "MEM_DONATE", "MEM_LEND", "MEM_SHARE", "MEM_RETRIEVE_REQ", "MEM_RETRIEVE_RESP",
    "MEM_RELINQUISH", "MEM_RECLAIM", "MEM_OP_PAUSE", "MEM_OP_RESUME", "MEM_FRAG_RX", "MEM_FRAG_TX",
    "NORMAL_WORLD_RESUME", "NOTIFICATION_BITMAP_CREATE", "NOTIFICATION_BITMAP_DESTROY", "NOTIFICATION_BIND",
    "NOTIFICATION_UNBIND", "NOTIFICATION_SET", "NOTIFICATION_GET", "NOTIFICATION_INFO_GET", "RX_ACQUIRE", "SPM_ID_GET",
    "MSG_SEND2", "SECONDARY_EP_REGISTER", "MEM_PERM_GET", "MEM_PERM_SET", "CONSOLE_LOG", "", "EL3_INTR_HANDLE",
)  # fmt: skip
_FFA_BOTH = (0x61, 0x66, 0x6F, 0x70, 0x71, 0x72, 0x73, 0x74, 0x83, 0x87, 0x88, 0x89, 0x8A)
_FFA_64 = {0x8B: "PARTITION_INFO_GET_REGS", 0x8D: "MSG_SEND_DIRECT_REQ2", 0x8E: "MSG_SEND_DIRECT_RESP2"}
# Those of RMM 1.0: later versions gave some numbers to other functions.
_RMI = _from(
    0x150, "VERSION", "GRANULE_DELEGATE", "GRANULE_UNDELEGATE", "DATA_CREATE", "DATA_CREATE_UNKNOWN", "DATA_DESTROY",
    "", "REALM_ACTIVATE", "REALM_CREATE", "REALM_DESTROY", "REC_CREATE", "REC_DESTROY", "REC_ENTER", "RTT_CREATE",
    "RTT_DESTROY", "RTT_MAP_UNPROTECTED", "", "RTT_READ_ENTRY", "RTT_UNMAP_UNPROTECTED", "", "PSCI_COMPLETE",
    "FEATURES", "RTT_FOLD", "REC_AUX_COUNT", "RTT_INIT_RIPAS", "RTT_SET_RIPAS",
)  # fmt: skip
_RSI = _from(
    0x190, "VERSION", "FEATURES", "MEASUREMENT_READ", "MEASUREMENT_EXTEND", "ATTESTATION_TOKEN_INIT",
    "ATTESTATION_TOKEN_CONTINUE", "REALM_CONFIG", "IPA_STATE_SET", "IPA_STATE_GET", "HOST_CALL",
)  # fmt: skip
_SMCCC = {
    **_from(0x0000, "VERSION", "ARCH_FEATURES", "ARCH_SOC_ID", "", "ARCH_WORKAROUND_4"),
    0x3FFF: "ARCH_WORKAROUND_3",
    0x7FFF: "ARCH_WORKAROUND_2",
    0x8000: "ARCH_WORKAROUND_1",
}
_SMCCC_64 = _from(
    2, "ARCH_SOC_ID", "ARCH_FEATURE_AVAILABILITY", "", "ARCH_CLEAN_INV_MEMREGION", "ARCH_CLEAN_INV_MEMREGION_ATTRIBUTES"
)
_KVM_64 = {
    **_from(2, "HYP_MEMINFO", "MEM_SHARE", "MEM_UNSHARE"),
    7: "MMIO_GUARD",
    **_from(64, "DISCOVER_IMPL_VER", "DISCOVER_IMPL_CPUS"),
}

SERVICES: Final = (
    CallService("SMCCC", ARCHITECTURE, _SMCCC, _SMCCC_64),
    CallService("PSCI", STANDARD_SECURE, _PSCI, _only(_PSCI, 1, 3, 4, 5, 7, 12, 13, 14, 16, 17, 18, 20, 21)),
    CallService("SDEI", STANDARD_SECURE, {}, _SDEI),
    CallService("TRNG", STANDARD_SECURE, _TRNG, _only(_TRNG, 0x53)),
    CallService("FF-A", STANDARD_SECURE, _FFA, _only(_FFA, *_FFA_BOTH) | _FFA_64),
    CallService("EM", STANDARD_SECURE, _from(0xF0, "VERSION", "FEATURES", "CPU_ERRATUM_FEATURES"), {}),
    CallService("RMI", STANDARD_SECURE, {}, _RMI),
    CallService("RSI", STANDARD_SECURE, {}, _RSI),
    CallService("PV_TIME", STANDARD_HYPERVISOR, {}, _from(0x20, "FEATURES", "ST")),
    CallService("KVM", VENDOR_HYPERVISOR, _from(0, "FEATURES", "PTP"), _KVM_64),
    CallService("Hyper-V", VENDOR_HYPERVISOR, {}, {1: "hypercall, its control in x1"}, fast=0),
)
"""Of the hypervisors' own only KVM's and Hyper-V's: another one may use the same numbers."""

GENERAL: Final[Mapping[int, str]] = {0xFF00: "Call Count", 0xFF01: "Call UID", 0xFF03: "Revision"}
"""What every owner may be asked (DEN0028, "General service queries")."""


def function_name(w0: int) -> str:
    """Return the name of an SMCCC function, its specification first, or give an empty string where it is not known.

    Who owns the number is in `function_identifier(w0).owner`; the hint in bit 16 makes no difference.
    """
    identifier = function_identifier(w0)
    if identifier.reserved:
        return ""
    for service in SERVICES:
        functions = service.smc64 if identifier.SMC64 else service.smc32
        if (service.owner, service.fast) == (identifier.owner, identifier.fast) and identifier.number in functions:
            return f"{service.name}: {functions[identifier.number]}"
    owner = FunctionIdentifier.owner.meaning(identifier.owner)
    if owner and identifier.fast and not identifier.SMC64 and identifier.number in GENERAL:
        return f"{owner}: {GENERAL[identifier.number]}"
    return ""


XEN_HYPERCALLS: Final[Mapping[int, str]] = _from(
    0, "set_trap_table", "mmu_update", "set_gdt", "stack_switch", "set_callbacks", "fpu_taskswitch",
    "sched_op_compat", "platform_op", "set_debugreg", "get_debugreg", "update_descriptor", "", "memory_op",
    "multicall", "update_va_mapping", "set_timer_op", "event_channel_op_compat", "xen_version", "console_io",
    "physdev_op_compat", "grant_table_op", "vm_assist", "update_va_mapping_otherdomain", "iret", "vcpu_op",
    "set_segment_base", "mmuext_op", "xsm_op", "nmi_op", "sched_op", "callback_op", "xenoprof_op", "event_channel_op",
    "physdev_op", "hvm_op", "sysctl", "domctl", "kexec_op", "tmem_op", "argo_op", "xenpmu_op", "dm_op", "hypfs_op",
    "", "", "", "", "", "arch_0", "arch_1", "arch_2", "arch_3", "arch_4", "arch_5", "arch_6", "arch_7",
)  # fmt: skip
"""Of x16 at HVC #0xea1; many are x86's only, and Arm answers them with -ENOSYS."""


XEN_HVC: Final = 0xEA1


def called_for(found: Syndrome, register: ReadRegister | None = None) -> str:
    """Return what a BRK, SVC, HVC or SMC is for, by whose convention; empty where that is not known.

    `register` is given where the general registers are still those of the instruction.
    """
    exception_class = ESR_ELx.EC.of(found.word)
    if exception_class == EC.BRK:
        return brk_comment(found.immediate or 0)
    if exception_class in (EC.SVC, EC.SVC_AARCH32):
        return svc_comment(found.immediate or 0)
    if exception_class in (EC.HVC, EC.HVC_AARCH32):
        said = hvc_comment(found.immediate or 0)
        if found.immediate == XEN_HVC and register is not None and (number := optional(register, "x16")) is not None:
            return f"Xen: {XEN_HYPERCALLS.get(number, f'hypercall {number}')}"
        return (not found.immediate and _called(register)) or said
    if exception_class in (EC.SMC, EC.SMC_AARCH32):
        return _called(register) or "SMCCC: function identifier in w0"
    return ""


def _called(register: ReadRegister | None) -> str:
    x0 = None if register is None else optional(register, "x0")
    return "" if x0 is None else function_name(x0 & 0xFFFF_FFFF)


class Immediates(System):
    """Everybody's conventions on AArch64 that are known here."""

    def convention(self, found: Syndrome, register: ReadRegister | None) -> str:
        return called_for(found, register)


IMMEDIATES: Final = Immediates()
