"""The frames of who wrote: the function that matters is told, however deep in C++ the store was."""

from __future__ import annotations

from gdbtools.analysis.frames import MOST, Frame, of_code, told


def own(number: int) -> Frame:
    return Frame(0x1000 + number, f"mmu::step{number}")


def library(name: str = "std::__invoke_impl<void, mmu::writer&>") -> Frame:
    return Frame(0x2000, name)


def test_wrappers_do_not_use_up_the_frames_before_the_function_that_matters() -> None:
    lines = told([Frame(0x10, "std::atomic<long>::store"), *[library()] * 20, own(1), own(2)])
    assert lines == [
        "0x10  std::atomic<long>::store",
        "... 20 frames of the C++ library",
        "0x1001  mmu::step1",
        "0x1002  mmu::step2",
    ]


def test_inlined_helpers_are_told_and_do_not_count() -> None:
    helpers = [Frame(number, "mmu::write", "mmu.hh:1", inlined=True) for number in range(12)]
    lines = told([*helpers, *(own(number) for number in range(MOST + 3))])
    assert lines[:2] == ["0x0  mmu::write  mmu.hh:1", "0x1  mmu::write  mmu.hh:1"]
    assert lines[12:] == [own(number).said() for number in range(MOST)] + ["... and its callers"]


def test_a_library_is_known_by_the_name_itself_or_by_its_headers_and_not_by_what_it_is_given() -> None:
    assert library("void std::__invoke<f>").is_library
    assert Frame(0, "operator()", "/usr/include/c++/12/bits/std_function.h:591").is_library
    assert not library("mmu::vma_operation<std::function<void ()>>").is_library
    assert not library("apply(std::string)").is_library
    assert not library("").is_library


def test_a_frame_without_a_name_is_told_by_its_address() -> None:
    assert told([Frame(0x40, "")]) == ["0x40"]


def test_a_caller_in_the_first_page_is_none_and_ends_the_list() -> None:
    assert told([own(1), own(2), Frame(0xF, ""), own(3)]) == [own(1).said(), own(2).said()]
    assert told([own(1), library(), Frame(0, "")]) == [own(1).said(), "... 1 frame of the C++ library"]
    assert told([Frame(0xF, ""), own(1)]) == ["0xf", own(1).said()], "it is where the CPU is"


def test_a_caller_without_a_name_where_nothing_may_be_executed_is_junk_of_the_stack() -> None:
    frames = [Frame(0x10, ""), Frame(0x20, ""), own(1), Frame(0x30, ""), own(2)]
    assert list(of_code(frames, lambda pc: pc == 0x20)) == frames[:3]
    assert list(of_code(frames, lambda pc: True)) == frames
