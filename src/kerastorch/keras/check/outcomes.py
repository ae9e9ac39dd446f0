"""Decide what became of each section, from the messages of the process that ran it."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from typing import Any

from kerastorch.keras.check.causes import Cause, cause_of, first_line, missing_package
from kerastorch.keras.check.results import (
    FAILED,
    FOLLOWS,
    NEEDS,
    NOT_REACHED,
    RAN,
    TOO_LONG,
    ScriptResult,
    SectionResult,
)
from kerastorch.keras.check.scripts import Script
from kerastorch.keras.check.sections import Section

_LIMIT = Cause("time limit", "Give more time with --timeout, or let the script use fewer rows and epochs.")


def script_result(script: Script, messages: Sequence[Mapping[str, Any]], notes: tuple[str, ...] = ()) -> ScriptResult:
    """Return the result of a script.

    Args:
        script: The script.
        messages: All messages of its run; see `section_runner.run_sections`.
        notes: Sentences for the report.
    """
    ended = {message["end"]: message for message in messages if "end" in message}
    started = {message["begin"] for message in messages if "begin" in message}
    exit_status = next((message["exit"] for message in messages if "exit" in message), 0)
    lost: dict[str, SectionResult] = {}  # names that sections which did not run were to bind
    results: list[SectionResult] = []
    for number, section in enumerate(script.sections):
        if number in ended:
            result = _of_message(section, ended[number], lost, _has_failed(results))
        elif number in started:
            result = _of_end(section, exit_status)
        elif results:
            result = _of_rest(section, results)
        else:
            result = _of_end(section, exit_status)
        results.append(result)
        for name in section.names:
            lost.pop(name, None)
            if result.status != RAN:
                lost[name] = result
    return ScriptResult(script.path, tuple(results), script.imports, notes)


def unreadable_result(script: Script) -> ScriptResult:
    """Return the result of a script that Python cannot read."""
    assert script.error is not None
    message, place = script.error
    cause = Cause("unreadable file", "Python cannot read it.")
    return ScriptResult(script.path, (SectionResult(place, FAILED, 0.0, place, message, cause),), script.imports)


def _of_message(
    section: Section, message: Mapping[str, Any], lost: Mapping[str, SectionResult], has_failed: bool
) -> SectionResult:
    """Return the result of a section that has ended, with an error or without."""
    where = section.pieces[-1].where()
    seconds = round(message["seconds"], 3)
    if message["error"] is None:
        return SectionResult(where, RAN, seconds)
    kind, text = message["error"]
    piece = section.pieces[message["piece"]]
    at = piece.where(message["line"])
    lines = piece.source.split("\n")
    line = lines[message["line"] - 1] if message["line"] and message["line"] <= len(lines) else ""
    status, cause = _status(kind, text, line, message["network"], lost, has_failed)
    shown = f"{kind}: {first_line(text)}".rstrip(": ")
    return SectionResult(where, status, seconds, at, "it did not end in time" if status == TOO_LONG else shown, cause)


def _status(
    kind: str,
    text: str,
    line: str,
    network: Sequence[str],
    lost: Mapping[str, SectionResult],
    has_failed: bool,
) -> tuple[str, Cause]:
    if kind == "TimeLimit":
        return TOO_LONG, _LIMIT
    if network:
        return NEEDS, Cause(f"download from {network[0]}", "The check has no network. Run the script once to download.")
    package = missing_package(kind, text)
    if package is not None:
        known = cause_of(kind, text, line)
        is_known = not known.title.startswith(kind)
        return NEEDS, known if is_known else Cause(f"package {package}", f"Install {package}.")
    name = text.partition("name '")[2].partition("'")[0] if kind in ("NameError", "UnboundLocalError") else ""
    if name in lost:
        origin = lost[name]
        return NEEDS if origin.status == NEEDS else FOLLOWS, origin.cause or Cause("another section")
    if kind == "FileNotFoundError" and not has_failed:
        return NEEDS, Cause("missing file", "Put the file into the folder of the script.")
    return FAILED, cause_of(kind, text, line)


def _of_end(section: Section, exit_status: int | str) -> SectionResult:
    """Return the result of a section in which the process ended."""
    where = section.pieces[-1].where()
    if exit_status == "timeout":
        return SectionResult(where, TOO_LONG, 0.0, where, "it did not end in time", _LIMIT)
    number = int(exit_status)
    how = f"by the signal {signal.Signals(-number).name}" if number < 0 else f"with the exit status {number}"
    return SectionResult(where, FAILED, 0.0, where, f"the process ended {how}", Cause("the process ended"))


def _of_rest(section: Section, results: Sequence[SectionResult]) -> SectionResult:
    """Return the result of a section that the process did not begin."""
    where = section.pieces[-1].where()
    last = next((one for one in reversed(results) if one.status not in (FOLLOWS, NOT_REACHED)), None)
    if last is None or last.status == RAN:
        return SectionResult(where, NOT_REACHED)
    return SectionResult(where, FOLLOWS, 0.0, where, "the process had ended", last.cause)


def _has_failed(results: Sequence[SectionResult]) -> bool:
    return any(result.status not in (RAN, NEEDS) for result in results)
