"""Run the report notebooks of a project and write each as a page without scripts and network."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

from pickroom.analysis.reports.html import STYLE
from pickroom.core import quiet
from pickroom.core.errors import ConflictError
from pickroom.storage import atomic, leftovers
from pickroom.store import written_files
from pickroom.store.workspace import Project, Workspace, package_notebooks

_KERNEL = "python3"
_SHOWN_LINES = 12  # of a failing cell


def templates(workspace: Workspace) -> list[Path]:
    """The report notebooks, sorted by name: this version's, and the user's in the workspace's `notebooks/reports/`.

    Of two with one name the user's is taken.
    """
    own = (workspace.notebooks / "reports").glob("[!.]*.ipynb")
    found = {path.name: path for path in (*package_notebooks("reports"), *own)}
    return [found[name] for name in sorted(found)]


def report_folder(project: Project) -> Path:
    return project.workspace.reports / project.id


def report_path(project: Project, name: str) -> Path:
    """A path for a report of this name that replaces no file of the user."""
    return written_files.free_path(project.workspace, report_folder(project) / name)


def run(project: Project) -> list[Path]:
    """Run every report notebook; the pages and the executed notebooks replace those of an earlier run.

    A file there that Pickroom did not write, or that was changed since, is kept; the new one gets another name.

    Returns:
        the HTML pages, one for each notebook.

    Raises:
        ConflictError: a cell failed; `items` are its lines. Earlier pages stay as they were.
    """
    folder = report_folder(project)
    folder.mkdir(parents=True, exist_ok=True)
    made: list[Path] = []
    with leftovers.Folder(".running-", folder) as running:
        for template in templates(project.workspace):
            executed = running / template.name
            notebook = _execute(project, template, executed)
            executed.with_suffix(".html").write_text(to_html(notebook, project.manifest.title), encoding="utf-8")
            made += [executed, executed.with_suffix(".html")]
        targets = [report_path(project, path.name) for path in made]
        for path, target in zip(made, targets, strict=True):
            written_files.record(project.workspace, target, atomic.sha256_of(path))
            os.replace(path, target)
    atomic.sync_folders([folder])
    return [path for path in targets if path.suffix == ".html"]


def _execute(project: Project, template: Path, executed: Path) -> Any:
    import nbformat
    import papermill
    from papermill.exceptions import PapermillExecutionError

    try:
        with _kernels_find(project):
            notebook = papermill.execute_notebook(
                template,
                executed,
                parameters={"project": project.id},
                kernel_name=_KERNEL,
                progress_bar=False,
                log_output=False,
                store_widget_state=False,
                extra_arguments=["--log-level=40"],  # errors only: warnings about sockets do not concern the user
                cwd=str(executed.parent),
            )
    except PapermillExecutionError as error:
        failed = report_path(project, f"{template.stem}.failed.ipynb")
        written_files.record(project.workspace, failed, atomic.sha256_of(executed))
        shutil.copyfile(executed, failed)
        raise ConflictError(
            f"cell {error.cell_index} failed: {error.ename}: {error.evalue}",
            items=[f"  | {line}" for line in error.source.splitlines()[:_SHOWN_LINES]],
            doing=f"reporting on {project.id}",
            subject=failed,
            hint="the project is as it was; open that notebook to see the whole error",
        ) from None
    report_path(project, f"{template.stem}.failed.ipynb").unlink(missing_ok=True)
    for name in ("input_path", "output_path"):
        notebook.metadata.get("papermill", {}).pop(name, None)
    nbformat.write(notebook, executed)
    return notebook


@contextmanager
def _kernels_find(project: Project) -> Iterator[None]:
    """Set the workspace variable for kernels started meanwhile, so that no absolute path gets into the notebook."""
    given = {"PICKROOM_HOME": str(project.workspace.root), **quiet.for_children()}
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def to_html(notebook: Any, title: str) -> str:
    """An executed notebook as one page: its text and results, without code."""
    from nbconvert import HTMLExporter

    hidden = {f"exclude_{what}": True for what in ("input", "input_prompt", "output_prompt")}
    body, _ = HTMLExporter(template_name="basic", **hidden).from_notebook_node(notebook)
    return page(re.sub(r"<script\b.*?</script>", "", body, flags=re.DOTALL), title)


# the page can neither run scripts nor fetch anything, whatever it contains
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(body: str, title: str) -> str:
    """A whole page around the HTML of a report."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body>{body}</body></html>\n"
    )
