"""One import, from where it stands to its end."""

from __future__ import annotations

from collections.abc import Iterator

import typer

from penstock.api.problem import describe
from penstock.cli.exits import Exit, Failed
from penstock.cli.importing.batch import Batch, ahead, batches
from penstock.cli.importing.choices import Choices
from penstock.cli.importing.ledger import Ledger
from penstock.cli.importing.line import Line, Reader
from penstock.cli.importing.refused import RefusedLine, RefusedLines
from penstock.cli.importing.send import Refused, Sender
from penstock.cli.importing.source import UNREADABLE, Source
from penstock.cli.interrupt import Interrupt
from penstock.cli.progress import Progress
from penstock.errors import Malformed


class Import:
    """Sends a source, batch by batch, in order: of two lines for one record the later one wins."""

    def __init__(
        self,
        source: Source,
        choices: Choices,
        ledger: Ledger,
        sender: Sender,
        refused: RefusedLines,
    ) -> None:
        self._source = source
        self._choices = choices
        self._ledger = ledger
        self._sender = sender
        self._refused = refused
        self._receipts: list[str] = []

    def run(self, *, wait: bool) -> None:
        """Until all is done, and then say what came of it. Raises `Failed`."""
        done = self._ledger.done
        with Progress(self._source.size, done.lines) as progress:
            try:
                with Interrupt() as interrupt:
                    self._send_all(self._choices.reader(self._source), progress, interrupt)
                    if wait:
                        self._settle()
            except KeyboardInterrupt:
                raise Failed(self._stopped("interrupted"), Exit.INTERRUPTED) from None
            except Failed as failed:
                raise Failed(self._stopped(str(failed)), failed.code) from failed
        self._ledger.remove()
        typer.echo(
            f"{done.lines:,} lines: {done.accepted:,} accepted, {done.refused:,} refused,"
            f" in {progress.seconds:.1f} s ({progress.rate:,.0f}/s)"
        )
        if done.refused:
            typer.echo(f"The refused lines, and why: {self._refused.path}", err=True)
            raise typer.Exit(Exit.INCOMPLETE)

    def _send_all(self, reader: Reader, progress: Progress, interrupt: Interrupt) -> None:
        for batch in ahead(batches(_readable(reader), self._source, self._choices.batch)):
            interrupt.check()
            if batch.number >= self._ledger.done.batches:
                self._send(batch)
                progress.advance(len(batch.lines), batch.at)

    def _send(self, batch: Batch) -> None:
        done = self._ledger.done
        refused = [_refused_here(line) for line in batch.unsent]
        sent = batch.sent
        if sent:
            answer = self._sender.send(sent, f"{done.run}-{batch.number}")
            refused += [_refused_there(one) for one in answer.refused]
            done.accepted += answer.accepted
            if answer.receipt is not None:
                self._receipts.append(answer.receipt)
        if refused:
            refused.sort(key=lambda one: one.line)
            done.refused_bytes = self._refused.add(refused)
        done.refused += len(refused)
        done.lines += len(batch.lines)
        done.batches = batch.number + 1
        self._ledger.save()

    def _settle(self) -> None:
        for receipt in self._receipts:
            self._sender.settle(receipt)

    def _stopped(self, why: str) -> str:
        lines = self._ledger.done.lines
        if not self._ledger.kept or not lines:
            return f"{why}, after {lines:,} lines" if lines else why
        return f"{why}; {lines:,} lines are done, and the same command goes on from there"


def _readable(reader: Reader) -> Iterator[Line]:
    try:
        yield from reader.lines()
    except UNREADABLE as error:
        raise Failed(f"the input is damaged or cut short: {error}", Exit.USAGE) from error


def _refused_here(line: Line) -> RefusedLine:
    return _refused_there(Refused(line, describe(Malformed("invalid_line", line.reason))))


def _refused_there(refused: Refused) -> RefusedLine:
    line = refused.line
    return RefusedLine(line.number, line.text.decode(errors="replace"), refused.problem)
