"""The command line: arguments in, reports out, an exit status; computes nothing.

Exit status: 0 everything as expected, 1 a divergence, an expectation that no longer holds or anything uncompared,
2 the command's words or its input are unusable, 3 a required engine is missing or the tool itself failed.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import gc
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import click

from onnx_triangulate import __version__
from onnx_triangulate.records.errors import MissingEngine, UnusableInput

if TYPE_CHECKING:  # records are imported by the command that needs them: `list` and `--help` take no time
    from onnx_triangulate.records.inspection import Inspection
    from onnx_triangulate.records.verdict import Verdict

P = ParamSpec("P")


def _named(context: click.Context, option: click.Parameter, value: Any) -> Any:
    """An option that names a file, and names one."""
    if value is not None and not str(value).strip():
        raise UnusableInput(f"--{option.name}: an empty name; name a file, or leave it out")
    return value


json_option = click.option(
    "--json", metavar="FILE", callback=_named, help="Write the report as JSON; - is standard output."
)
report_option = click.option(
    "--report",
    "reports",
    multiple=True,
    metavar="FORMAT=FILE",
    help="Write the report in this format: json, text or another that takes it. May be repeated.",
)
timeout_option = click.option(
    "--timeout",
    type=click.FloatRange(min=0.1),
    default=120,
    metavar="SECONDS",
    help="Limit of each call into an engine.",
    show_default=True,
)
memory_option = click.option(
    "--memory",
    type=click.FloatRange(min=0.1, max=1e6),
    default=8,
    metavar="GIB",
    help="Resident size at which a worker is killed.",
    show_default=True,
)


class _App(click.Group):
    """A group of commands whose complaints are one line, without the usage in front of it."""

    def make_context(self, *arguments: Any, **more: Any) -> click.Context:
        with _output_errors():  # --help and --version print here
            return super().make_context(*arguments, **more)

    def invoke(self, ctx: click.Context) -> Any:
        with _output_errors():
            return super().invoke(ctx)

    def main(self, *arguments: Any, **more: Any) -> Any:
        try:
            return super().main(*arguments, **{**more, "standalone_mode": False})
        except click.exceptions.Exit as left:  # --help
            raise SystemExit(left.exit_code) from None
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message())
            raise SystemExit(0) from None
        except click.ClickException as error:
            says = error.format_message().rstrip(".")
            context = getattr(error, "ctx", None)
            given = next((word for word in sys.argv[1:] if word in self.commands), "")
            who = context.command_path if context is not None else f"triangulate {given}".rstrip()
            raise SystemExit(_complain(f"{says}; see `{who} --help`")) from None
        except UnusableInput as error:
            raise SystemExit(_complain(str(error))) from None
        except click.Abort:
            raise SystemExit(_complain("interrupted", 130)) from None


@click.group(cls=_App, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, prog_name="onnx-triangulate", message="%(prog)s %(version)s")
def app() -> None:
    """Who parted from whom, at which node, and why: PyTorch, TensorFlow, their ONNX exports and ONNX Runtime."""


def _forget_output() -> None:
    """Let what is left in the buffer of standard output go nowhere: it would fail again on leaving."""
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115


@contextlib.contextmanager
def _output_errors() -> Iterator[None]:
    """Turn what standard output cannot take into an exit status: 141 where its reader has left, 2 where it is full."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()  # what cannot be written fails here, and not as Python leaves, with status 120
    except BrokenPipeError:
        sys.stderr.close()  # nothing more can be said
        _forget_output()
        raise SystemExit(141) from None
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EIO, errno.EDQUOT):
            raise
        _forget_output()
        raise SystemExit(_complain(f"cannot write: {error.strerror}; free some space", 2)) from None


def _reported(command: Callable[P, None]) -> Callable[P, None]:
    """Turn what a command raises into one line and the exit status that the module's docstring gives it."""

    @functools.wraps(command)
    def reported(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            with _output_errors():
                command(*args, **kwargs)
        except UnusableInput as error:
            raise SystemExit(_complain(str(error), 2)) from None
        except MissingEngine as error:
            raise SystemExit(_complain(str(error), 3)) from None
        except KeyboardInterrupt:
            raise SystemExit(_complain("interrupted", 130)) from None
        except Exception as error:  # a bug of this tool, and said to be one
            traceback.print_exc()
            raise SystemExit(_complain(f"the tool itself failed: {type(error).__name__}: {error}", 3)) from error

    return reported


@app.command()
@click.argument("targets", metavar="[TARGET]...", nargs=-1)
@json_option
@report_option
@click.option(
    "--require",
    multiple=True,
    metavar="ENGINE[,ENGINE]",
    help="Fail with status 3 where one of these is not installed.",
)
@click.option(
    "--parties",
    multiple=True,
    metavar="GLOB[,GLOB]",
    help="Run only these of the ONNX parties, such as 'torch>ort.*'; natives always run.",
)
@click.option(
    "--inputs",
    type=click.Path(path_type=Path),
    metavar="FILE.npz",
    help="Arrays by input name, in place of the cases' own.",
)
@click.option(
    "--onnx",
    multiple=True,
    metavar="PARTY=FILE",
    help="Judge this file in place of a fresh export: torch=model.onnx. May be repeated.",
)
@click.option("--dim", multiple=True, metavar="NAME=N", help="The size of a named axis of a target MODEL.onnx.")
@click.option(
    "--jobs", type=click.IntRange(min=1), default=1, metavar="N", help="Worker processes per engine.", show_default=True
)
@click.option(
    "--seed",
    type=click.IntRange(min=0, max=2**32 - 1),
    default=0,
    metavar="N",
    help="Seed of every input and parameter.",
    show_default=True,
)
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Keep graphs and arrays there.")
@timeout_option
@memory_option
@click.option("--verbose", "-v", is_flag=True, help="List every edge, not only those that part.")
@_reported
def verify(
    targets: tuple[str, ...],
    json: str | None,
    reports: tuple[str, ...],
    require: tuple[str, ...],
    parties: tuple[str, ...],
    inputs: Path | None,
    onnx: tuple[str, ...],
    dim: tuple[str, ...],
    jobs: int,
    seed: int,
    out: Path | None,
    timeout: float,
    memory: float,
    verbose: bool,
) -> None:
    """Export, inspect, run everywhere, triangulate, explain.

    A TARGET is a group or a case of the catalogue, a case file, a folder of these, or MODEL.onnx."""
    from onnx_triangulate.cli.supervisor import Interrupted
    from onnx_triangulate.cli.supervisor import verify as run
    from onnx_triangulate.comparison.options import dims_of
    from onnx_triangulate.records.verdict import Report
    from onnx_triangulate.report.terminal import render
    from onnx_triangulate.verification.session import Options

    if not targets and (onnx or inputs is not None):
        which = "--onnx" if onnx else "--inputs"
        raise UnusableInput(f"{which} is about one model: name its case, FILE.py::CASE; nothing named is the catalogue")
    files = _files(onnx)
    made = _outputs({"json": json}, reports, [Report], [inputs, *(file for _, file in files)])
    if out is not None:
        _folder(out)
    chosen = Options(
        seed=seed,
        jobs=jobs,
        require=_words(require),
        parties=_words(parties),
        out=out,
        timeout=timeout,
        memory=int(memory * 2**30),
        inputs=None if inputs is None else inputs.resolve(),
        onnx=files,
        sizes=tuple(dims_of(dim).items()),
        written=made.overwritten,
    )
    status = None
    try:
        with _progress() as progress:
            report = run(targets, chosen, progress=progress)
    except Interrupted as interrupted:
        report, status = interrupted.report, 130
    if not made.standard:  # first: a full disk loses no verdict
        render(report, _console(), verbose=verbose)
        sys.stdout.flush()
    made.write(report)
    for verdict in report.verdicts:
        for problem in verdict.problems:
            _complain(problem if problem.startswith(verdict.case) else f"{verdict.case}: {problem}")
    if status is not None:
        _complain("interrupted; what is above was finished before")
    raise SystemExit(report.exit_status if status is None else status)


@app.command(short_help="Say what an ONNX graph holds, or what two have differently.")
@click.argument("model", metavar="MODEL.onnx", type=click.Path(path_type=Path))
@click.argument("other", metavar="[OTHER.onnx]", type=click.Path(path_type=Path), required=False)
@json_option
@report_option
@click.option(
    "--select", multiple=True, metavar="CODE[,CODE]", help="Ask these rules only: PAD001, PAD or a rule's name."
)
@click.option("--ignore", multiple=True, metavar="CODE[,CODE]", help="Leave these rules out.")
@click.option(
    "--fail-on",
    metavar="SEVERITY",
    help="Leave with status 1 where a remark is info, warning, error or worse; a difference is a warning.",
)
@click.option("--svg", metavar="FILE", callback=_named, help="Draw the graph.")
@click.option("--html", metavar="FILE", callback=_named, help="Draw it on a page with what was found.")
@click.option(
    "--mermaid", metavar="FILE", callback=_named, help="Write it as a Mermaid flowchart; - is standard output."
)
@click.option("--around", metavar="NODE", help="Draw only what is near this node or value.")
@click.option(
    "--depth", type=click.IntRange(min=0), default=3, metavar="N", help="How near that is.", show_default=True
)
@click.option("--verbose", "-v", is_flag=True, help="List everything.")
@_reported
def inspect(
    model: Path,
    other: Path | None,
    json: str | None,
    reports: tuple[str, ...],
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    fail_on: str | None,
    svg: str | None,
    html: str | None,
    mermaid: str | None,
    around: str | None,
    depth: int,
    verbose: bool,
) -> None:
    """Say what an ONNX graph holds: pads, layouts, remarks, a picture; or what two graphs have differently."""
    gc.disable()  # a short command that makes hundreds of thousands of records and no circles
    from onnx_triangulate.facts.model_view import viewed
    from onnx_triangulate.inspection.rules import chosen
    from onnx_triangulate.inspection.run import inspected
    from onnx_triangulate.onnxgraph.external_data import beside
    from onnx_triangulate.records.inspection import Differences, Inspection, Picture
    from onnx_triangulate.report.files import check_writable

    pictures = {"svg": svg, "html": html, "mermaid": mermaid}
    if other is not None and any(pictures.values()):
        raise UnusableInput("--svg, --html and --mermaid draw one graph; leave out the other file")
    limit = None if fail_on is None else _rank(fail_on)
    kinds = (Inspection, Picture) if other is None else (Differences,)
    made = _outputs({"json": json, **pictures}, reports, kinds, [model, other])
    if around is not None and not made.pictures:
        raise UnusableInput("--around says what to draw; give --svg, --html or --mermaid, too")
    if made.overwritten:
        read = [held for file in (model, other) if file is not None for held in beside(file)]
        check_writable(*made.overwritten, reads=read)
    rules = chosen(_words(select), _words(ignore))
    sides = [(view, inspected(view, rules)) for view in map(viewed, filter(None, (model, other)))]
    severities: list[str] = [each.severity for _, found in sides for each in found.diagnostics]
    if other is None:
        _tell_inspection(*sides[0], made, verbose, around, depth)
    elif _tell_differences(sides[0], sides[1], made, verbose):
        severities.append("warning")
    failed = [rule_that for _, found in sides for rule_that in found.failed]
    for rule_that in failed:
        _complain(f"the tool itself failed: {rule_that}")
    if failed:
        raise SystemExit(3)
    if limit is not None and any(_rank(severity) >= limit for severity in severities):
        raise SystemExit(1)


@app.command(short_help="Say whether two graphs mean the same, or where not.")
@click.argument("left", metavar="A.onnx", type=click.Path(path_type=Path))
@click.argument("right", metavar="B.onnx", type=click.Path(path_type=Path))
@click.option(
    "--inputs",
    type=click.Path(path_type=Path),
    metavar="FILE.npz",
    help="Arrays by A's input names, in place of drawn ones.",
)
@click.option("--dim", multiple=True, metavar="NAME=N", help="The size of a named axis to begin at; NAME==N: no other.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, metavar="N", help="Seed of drawn inputs.", show_default=True
)
@json_option
@report_option
@timeout_option
@memory_option
@_reported
def compare(
    left: Path,
    right: Path,
    inputs: Path | None,
    dim: tuple[str, ...],
    seed: int,
    json: str | None,
    reports: tuple[str, ...],
    timeout: float,
    memory: float,
) -> None:
    """Say whether two graphs mean the same, and at which nodes they do not."""
    from onnx_triangulate.cli.supervisor import compare as run
    from onnx_triangulate.comparison.options import Options, dims_of, only_of
    from onnx_triangulate.records.graph_comparison import GraphComparison
    from onnx_triangulate.report.comparison import render_comparison

    made = _outputs({"json": json}, reports, [GraphComparison], [left, right, inputs])
    chosen = Options(inputs, dims_of(dim), only_of(dim), seed, timeout, int(memory * 2**30), made.overwritten)
    found = run(left, right, chosen)
    if not made.standard:
        render_comparison(found, _console())
        sys.stdout.flush()
    made.write(found)
    raise SystemExit(found.exit_status)


@app.command(name="list", short_help="List the groups of the catalogue, or the cases of a target.")
@click.argument("targets", metavar="[TARGET]...", nargs=-1)
@click.option(
    "--tag", "tags", multiple=True, metavar="TAG[,TAG]", help="Cases that have all of these: pooling, gradient."
)
@click.option("--status", metavar="STATUS", help="Cases that declare this: agree or diverges.")
@_reported
def list_cases(targets: tuple[str, ...], tags: tuple[str, ...], status: str | None) -> None:
    """List the groups of the catalogue; with a target or a filter, cases.

    A case has the tags that it says (its family: pooling) and those that follow: gradient, dynamic, training, its
    number types (float16), the blames that it declares (semantics, export)."""
    from onnx_triangulate.cases import listing
    from onnx_triangulate.report.listing import render_groups, render_list

    if status is not None and status not in listing.STATUSES:
        raise UnusableInput(f"--status {status}: expected {' or '.join(listing.STATUSES)}")
    if targets:  # somebody's files, which are code
        from onnx_triangulate.cli.supervisor import listed

        render_list(listed(targets, _words(tags), status), _console())
    elif tags or status is not None:
        render_list(listing.rows((), _words(tags), status), _console())
    else:
        render_groups(listing.groups(), _console())


@app.command(short_help="List inspect's rules, or say what one means.")
@click.argument("code", metavar="[CODE]", required=False)
@_reported
def rule(code: str | None) -> None:
    """List the rules by which inspect remarks on a graph, or say what one of them means."""
    from onnx_triangulate.inspection.rules import chosen
    from onnx_triangulate.report.rules import render_rule, render_rules

    rules = chosen([code]) if code is not None else chosen()
    if code is not None and len(rules) == 1:
        render_rule(rules[0], _console())
    else:
        render_rules(rules, _console())


def main() -> None:
    """Run the command and leave with its status."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # numpy's are about numbers that are the user's, and not news
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:  # closed by whoever started this: what is said there is lost, and no failure
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, number)
            os.set_inheritable(number, True)  # a process without it would take its number for something else
            setattr(sys, name, open(number, "w"))  # noqa: SIM115
    for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        signal.signal(number, _leave)  # so that what is temporary is taken away
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        app(prog_name="triangulate")
    except KeyboardInterrupt:
        raise SystemExit(_complain("interrupted", 130)) from None
    finally:
        gc.freeze()  # a last collection of what the system takes back anyway is a tenth of a short command's time


def _leave(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


def _complain(text: str, status: int = 2) -> int:
    from onnx_triangulate.records.text import safe

    print(f"triangulate: {safe(text, limit=1000)}", file=sys.stderr)
    return status


def _rank(severity: str) -> int:
    """The place of a severity among all of them, the mildest first."""
    from onnx_triangulate.records.inspection import SEVERITIES

    if severity not in SEVERITIES:
        raise UnusableInput(f"--fail-on {severity}: expected {', '.join(SEVERITIES[:-1])} or {SEVERITIES[-1]}")
    return SEVERITIES.index(severity)


def _outputs(
    options: Mapping[str, str | None], reports: Sequence[str], records: Sequence[type], reads: Sequence[Path | None]
) -> Any:
    """The files to be written; formats are looked for where somebody asks for one."""
    from onnx_triangulate.cli.outputs import outputs

    return outputs(options, reports, records, reads)


def _tell_inspection(view: Any, found: Inspection, made: Any, verbose: bool, around: str | None, depth: int) -> None:
    """Write what a graph holds to every file that was asked for, and print it."""

    def draw(most: int) -> Any:
        from onnx_triangulate.inspection.drawing import draw
        from onnx_triangulate.records.inspection import Picture

        return Picture(draw(view, found, around=around, depth=depth, most=most), found)

    made.write(found, draw)
    if not made.standard:
        from onnx_triangulate.report.inspection import render_inspection

        render_inspection(found, _console(), verbose)


def _tell_differences(left: tuple[Any, Inspection], right: tuple[Any, Inspection], made: Any, verbose: bool) -> bool:
    """What two graphs have differently; each is a view and what was found in it.  Whether numbers may change."""
    from onnx_triangulate.diff.differences import differences

    found = differences(left[0], right[0], left[1], right[1])
    made.write(found)
    if not made.standard:
        from onnx_triangulate.report.differences import render_differences

        render_differences(found, _console(), verbose)
    return bool(found.only_left or found.only_right) or any(not difference.harmless for difference in found.differences)


def _words(given: Iterable[str]) -> tuple[str, ...]:
    """The words of an option that may be repeated and takes several at once, separated by commas."""
    words = tuple(word.strip() for text in given for word in text.split(","))
    if not all(words):
        raise UnusableInput("an option that takes names was given an empty one; leave it out or name something")
    return words


def _files(given: Iterable[str]) -> tuple[tuple[str, Path], ...]:
    """The parties and files of ``--onnx PARTY=FILE``."""
    files = []
    for word in given:
        party, equals, file = word.partition("=")
        if not (party and equals and file):
            raise UnusableInput(f"--onnx {word}: expected PARTY=FILE, such as torch=model.onnx")
        files.append((party, Path(file)))
    return tuple(files)


def _folder(out: Path) -> None:
    """Make the folder for artefacts, or say why it cannot be one."""
    from onnx_triangulate.report.files import check_writable

    if out.exists() and not out.is_dir():
        raise UnusableInput(f"--out {out}: is a file, expected a folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnusableInput(f"--out {out}: cannot be made: {error.strerror}") from error
    check_writable(out / "triangulate.txt")


def _console() -> Any:
    from rich.console import Console

    class Screen(Console):
        def on_broken_pipe(self) -> None:  # rich leaves with 1, which means something else here
            raise BrokenPipeError

    console = Screen(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = 120  # a file or a log has no width of its own
    return console


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[Verdict, int, int], None] | None]:
    """On standard error while it works: a bar, if that is a terminal; otherwise a line a case, where there are many."""
    from onnx_triangulate.records.text import safe

    def line(verdict: Verdict, done: int, total: int) -> None:
        if total > 1:
            print(f"triangulate: {done} of {total}: {safe(verdict.case)} {verdict.status}", file=sys.stderr, flush=True)

    if not sys.stderr.isatty():
        yield line
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    parts = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*parts, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting the engines", total=None)

        def advance(verdict: Verdict, done: int, total: int) -> None:
            bar.update(task, description=safe(verdict.case), completed=done, total=total)

        yield advance
