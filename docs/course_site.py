"""From the saved notebooks to the pages of the website: a Sphinx extension. Nothing is run, nothing is copied by hand.

What a reader of a page gets that the notebook alone does not give: links between pages instead of files, a field for
each prediction with the answer folded below it, pictures with their alternative text and size, live figures with
their numbers inside, each exercise with its hints and its solution folded, and the formulas as MathML.
"""

import ast
import base64
import html
import json
import os
import pathlib
import re
import shutil
import struct

import nbformat
from live_figures import figures_of, given
from sphinx.builders.html import StandaloneHTMLBuilder

ROOT = pathlib.Path(__file__).parent.parent
WIDGETS = ROOT / "lstmcourse" / "widgets"
FIGURES = {"GateExplorer": ("cells.mjs", "page.mjs", "gates.mjs"), "GradientExplorer": ("page.mjs", "gradient.mjs"),
           "AttentionExplorer": ("page.mjs", "attention.mjs")}
CORE = ("layers", "rnn", "lstm", "gru", "recurrent", "attention", "transformer", "seq2seq", "min_rnn", "train",
        "gradcheck", "validation", "torch_ref")                  # in reading order
TOOLS = ("data", "lab", "plots", "widgets", "practice")
LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^()\s]+)\)")
GUESS = re.compile(r"guess(\w*) = None *(?:# *(.*))?")
ANSWER = re.compile(r"no guess made; it is (.*)")


# Where things are

class Site(StandaloneHTMLBuilder):
    """The pages lie where their sources lie, but the front page, which is at the top."""

    def get_target_uri(self, docname, typ=None):
        return super().get_target_uri("index" if docname == self.config.root_doc else docname, typ)

    def get_output_path(self, page_name, /):
        return super().get_output_path("index" if page_name == self.config.root_doc else page_name)


def page_of(path):
    """The page that shows a file or folder of the project, or None: "notebooks/04_lstm.ipynb" to the .html."""
    path = path.rstrip("/")
    if path == "README.md":
        return "index.html"
    folders = {"exercises": "docs/exercises.html", "solutions": "docs/exercises.html", "notebooks": "index.html"}
    if path in folders:
        return folders[path]
    if path.startswith("solutions/"):
        path = path.replace("solutions/", "exercises/", 1)
    if path.startswith("lstmcourse"):
        if path.endswith(".py"):
            return f"_modules/{path[:-3].removesuffix('/__init__')}.html" if is_in_the_reference(path) else None
        return "docs/reference.html"
    pages = path.endswith(".ipynb") or path.startswith("docs/") or path in ("CONTRIBUTING.md", "CHANGELOG.md")
    if pages and path.endswith((".ipynb", ".md")) and (ROOT / path).exists():
        return path.rsplit(".", 1)[0] + ".html"
    return None


def defines(file):
    """Does a module define something public that has a docstring?"""
    return any(isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_")
               and ast.get_docstring(node) for node in ast.parse(file.read_text(encoding="utf-8")).body)


def is_in_the_reference(path):
    """Does the reference list something of this module? Sphinx shows the code of those."""
    folder = path.split("/")[1].removesuffix(".py")
    return (ROOT / path).is_file() and folder in (*CORE, *TOOLS) and defines(ROOT / path)


def address(target, doc, out):
    """The link on the page of `doc` for a link that its source has, or None where the website has no such page.
    A file that is no page (a script, its runs) is copied beside the pages, as text."""
    path, _, fragment = target.partition("#")
    fragment = "#" + fragment.replace("cell-id=", "cell-") if fragment else ""
    if not path:
        return fragment
    here = os.path.dirname(doc)
    file = os.path.normpath(os.path.join(here, path))
    page = page_of(file)
    if page is None and (ROOT / file).is_file():
        page = f"files/{file}.txt"
        (out / page).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, out / page)
    if page is None:
        return None
    return os.path.relpath(page, "." if doc == "docs/index" else here or ".") + fragment


def linked(text, doc, out):
    """Markdown with its links turned from files into pages. A heading keeps its words; its link goes below it."""
    def one(match):
        words, target = match.groups()
        if re.match(r"[a-z]+:", target):
            return match.group()
        where = address(target, doc, out)
        plain = html.escape(words.replace("$", "").replace("\\", ""))
        spoken = f'<span class="unseen">{plain}</span>' if "$" in words else ""        # a formula alone is no name
        return f'<a href="{html.escape(where)}">{words}{spoken}</a>' if where else words

    lines, fenced = [], False
    for line in text.split("\n"):
        fenced ^= line.lstrip().startswith("```")
        if fenced:
            lines.append(line)
        elif line.startswith("#") and (found := LINK.search(line)):
            lines += [LINK.sub(r"\1", line), "", one(found).replace(f">{found[1]}<", f">Go to {found[1].lower()}<")]
        else:
            lines.append(LINK.sub(one, line))
    return "\n".join(lines)


# One cell

def output(name, doc, k, out):
    """One output of a cell as HTML where it is a picture; else as it is. `name` is the cell's id."""
    data = name[1].get("data", {})
    if "image/png" not in data and "image/svg+xml" not in data:
        return name[1]
    return html_output(picture(name[0], data, name[1].get("metadata", {}), doc, k, out))


def html_output(text):
    return nbformat.v4.new_output("display_data", data={"text/html": text})


def picture(cell_id, data, metadata, doc, k, out):
    """Write a picture beside the pages, and return the <img> with its alternative text and its size."""
    svg, png = "".join(data.get("image/svg+xml", "")), base64.b64decode("".join(data.get("image/png", "")))
    vector = svg and (not png or len(svg) < 150_000)
    file = out / "_images" / f"{doc.replace('/', '-')}-{cell_id}-{k}.{'svg' if vector else 'png'}"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(svg.encode() if vector else png)
    width, height = size(svg, png)
    shown = metadata.get("image/png", {}).get("width", width)
    alt = html.escape("".join(data.get("text/plain", "")))
    up = os.path.relpath(file, (out / doc).parent if doc != "docs/index" else out)
    return (f'<img class="figure" src="{up}" alt="{alt}" width="{shown}" height="{round(shown * height / width)}" '
            'loading="lazy">')


def size(svg, png):
    """Width and height of a picture: in pixels of the PNG, else in points of the SVG."""
    if png:
        return struct.unpack(">II", png[16:24])
    return tuple(float(re.search(rf'{side}="([\d.]+)', svg)[1]) for side in ("width", "height"))


def live(name, figure, still, sentence):
    """A live figure: the picture first, its numbers, and the line that puts the live one in the picture's place."""
    numbers = json.dumps(figure["traits"], ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    return (f'<figure class="live-figure" id="{name}" data-figure="{figure["figure"]}">{still}'
            f"<figcaption>{html.escape(sentence)}</figcaption></figure>"
            f'<script type="application/json" id="{name}-numbers">{numbers}</script>'
            f'<script>lstmcourse.show("{name}")</script>')


def prediction(fold, name, wanted):
    """The field for a prediction. Without JavaScript it is not shown, and the answer opens by its own line.
    fold: the answer that it opens; name: what follows `guess` in the variable's name."""
    hint = f' placeholder="{html.escape(wanted)}"' if wanted else ""
    which = f" ({name.replace('_', ' ').strip()})" if name else ""
    return (f'<form class="prediction" data-key="{fold}{name}" data-fold="{fold}" data-answer=""><label>Your '
            f'prediction{which} <input type="text" autocomplete="off"{hint}></label> '
            '<button type="submit">Show the answer</button> <output role="status"></output></form>')


# One notebook

def lesson(notebook, doc, out, anchors=(), sources=None):
    """The notebook as the website shows it. anchors: ids of the cells that something links to."""
    figures = figures_of(ROOT / f"{doc}.ipynb", notebook.cells)
    cells, waiting, inside = [], [], False                 # waiting: the fields that have no answer yet

    def add(text):
        cells.append(nbformat.v4.new_markdown_cell(text))

    for cell in notebook.cells:
        if cell.id in anchors:
            add(f'<span class="anchor" id="cell-{cell.id}"></span>')
        if cell.cell_type == "markdown":
            text = linked(cell.source, doc, out)
            if inside:
                head, rest = until_the_next_part(text)
                add(head)
                add("</details>")
                inside, text = False, rest
            add(text + (sources or {}).get(cell.id, ""))
            continue
        if inside:
            add("</details>")
            inside = False
        guesses = [GUESS.fullmatch(line) for line in cell.source.strip().split("\n")]
        if all(guesses):
            fold = f"{doc}#{cell.id}"
            for name, wanted in (found.groups() for found in guesses):
                add(prediction(fold, name, wanted))
                waiting.append(cells[-1])
            continue
        cell.outputs = outputs_of(cell, doc, out, figures)
        if waiting and "compare(guess" in cell.source:
            said = [match[1] for one in cell.outputs for match in ANSWER.finditer("".join(one.get("text", "")))]
            for one in cell.outputs:
                if "text" in one:
                    one.text = ANSWER.sub(r"it is \1", "".join(one.text))
            for field, answer in zip(waiting, said, strict=False):
                field.source = field.source.replace('data-answer=""', f'data-answer="{html.escape(answer)}"')
            add(f'<details class="answer" data-key="{fold}"><summary>The answer</summary>')
            waiting, inside = [], True
        cells.append(cell)
    if inside:
        add("</details>")
    notebook.cells = cells
    return notebook


def until_the_next_part(text):
    """Split Markdown before its first heading, or its first **Predict:**."""
    found = re.search(r"^(#|\*\*Predict)", text, re.MULTILINE)
    return (text[:found.start()], text[found.start():]) if found else (text, "")


def outputs_of(cell, doc, out, figures):
    """A cell's outputs with pictures as <img>; for a live figure one output, with everything in it."""
    if cell.id in figures:
        figure = figures[cell.id]
        stills = [(k, one) for k, one in enumerate(cell.outputs) if "image/png" in one.get("data", {})]
        rest = [one for one in cell.outputs if one.output_type == "stream"]
        shown = "".join(picture(cell.id, one["data"], one.get("metadata", {}), doc, k, out) for k, one in stills[:1])
        return [*rest, html_output(live(f"live-{cell.id}", figure, shown, figure["sentence"]))]
    found = [output((cell.id, one), doc, k, out) for k, one in enumerate(cell.outputs)]
    for one in found:
        if "text/html" in one.get("data", {}):
            page = "".join(one["data"]["text/html"])
            one["data"]["text/html"] = re.sub(r"href='([^']+\.ipynb)'",
                                              lambda match: f"href='{address(match[1], doc, out)}'", page)
    return found


def exercises(path, doc, out, anchors, solutions):
    """The page of a solution notebook: each exercise with its hints folded, and the solution folded below them."""
    from lstmcourse.practice.stubs import stub
    solved = nbformat.read(path, as_version=4)
    code = {cell.id: cell.source for cell in solved.cells if "### BEGIN SOLUTION" in cell.source}
    notebook, waiting, added = stub(solved, path.stem), None, {}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            waiting = cell.id if cell.id in code else waiting
            cell.outputs = []
        elif waiting and cell.source.startswith("<details>") and solutions:
            plain = re.sub(r"^ *### (BEGIN|END) SOLUTION\n?", "", code[waiting], flags=re.MULTILINE)
            added[cell.id] = ('\n\n<details class="solution"><summary>Solution</summary>\n\n```python\n'
                              f"{plain.rstrip()}\n```\n\n</details>")
            waiting = None
    return lesson(notebook, doc, out, anchors, added)


# Pages that are written from others

def readme(title):
    """The part of README.md under a heading, or from its first line to its first picture; links from docs/."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    part = (re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)[1] if title
            else re.search(r"^# .*?\n(.*?)(?=^!\[|^## )", text, re.MULTILINE | re.DOTALL)[1])
    part = part.replace("](#install)", "](docs/install.md)")
    part = re.sub(r"^To read without installing.*\n*", "", part, flags=re.MULTILINE)      # the reader is there
    return re.sub(r"\]\((?![a-z]+:|#)([^()\s]+)\)", r"](../\1)", part.strip())


def front_figure():
    """The live figure of the front page: three cells whose weights are set by hand, and one sentence."""
    from lstmcourse.widgets import gate_explorer
    from lstmcourse.widgets.by_hand import gru_by_hand, lstm_by_hand, rnn_by_hand
    widget = gate_explorer("nishchal likes pizza but his friend likes burger so friend orders",
                           LSTM=lstm_by_hand(), GRU=gru_by_hand(), RNN=rnn_by_hand())
    widget.word = widget.words.index("friend")                   # where the page asks for a gate to be clamped
    return widget


def front(out):
    """The front page's figure as HTML."""
    from lstmcourse import plots
    widget = front_figure()
    data = {"image/svg+xml": plots.save(widget.still, "svg", letters="none").decode(),
            "image/png": base64.b64encode(plots.save(widget.still, "png")).decode(), "text/plain": widget.sentence}
    return live("live-front", {"figure": "GateExplorer", "traits": given(widget)},
                picture("front", data, plots.png_size(widget.still), "docs/index", 0, out), widget.sentence)


def modules(folder=""):
    """The library's modules below a folder of lstmcourse, in reading order, as `automodule` sections."""
    top = ROOT / "lstmcourse"
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
             for path in (top / folder).rglob("*.py") if path.name != "__main__.py"]
    if not folder:
        names = sorted((name for name in names if name.split(".")[1:2] and name.split(".")[1] in CORE),
                       key=lambda name: (CORE.index(name.split(".")[1]), name))
    def members(name):                                   # a package that only passes names on lists none of them again
        file = top.parent / name.replace(".", "/")
        return "\n   :members:" if not file.is_dir() or defines(file / "__init__.py") else ""

    return "\n\n".join(f"## {name}\n\n```{{eval-rst}}\n.. automodule:: {name}{members(name)}\n```"
                       for name in (sorted(names) if folder else names))


def bibtex(repository):
    """CITATION.cff as a BibTeX entry."""
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    said = dict(re.findall(r'^(?:  - )?([a-z-]+): "?(.*?)"?$', text, re.MULTILINE))
    lines = [f"  title   = {{{said['title']}}},", f"  author  = {{{{{said['name']}}}}},",
             f"  year    = {{{said['date-released'][:4]}}},", f"  version = {{{said['version']}}},",
             *([f"  url     = {{https://github.com/{repository}}},"] if repository else [])]
    return "\n".join(["```bibtex", "@software{lstmcourse,", *lines, "}", "```"])


def get(repository):
    """How a reader of the website gets the course."""
    return (f"Get the course with `git clone https://github.com/{repository}`. Both commands are typed in its folder."
            if repository else "Both commands are typed in the folder of the course.")


def filled(text, out, repository):
    """A page of docs/ with what its `<!-- … -->` lines ask for."""
    def one(match):
        what, _, argument = match[1].partition(": ")
        return {"readme": lambda: readme(argument), "figure": lambda: front(out),
                "modules": lambda: modules("" if argument == "core" else argument),
                "bibtex": lambda: bibtex(repository), "get": lambda: get(repository),
                "file": lambda: f"```\n{(ROOT / argument).read_text(encoding='utf-8')}```",
                "notebooks": lambda: listing(argument)}[what]()
    return re.sub(r"^<!-- (.+?) -->$", one, text, flags=re.MULTILINE)


def listing(folder):
    """A list of a folder's notebooks: title, linked, and its second paragraph."""
    found = []
    for path in sorted((ROOT / folder).glob("[0-9]*.ipynb")):
        first = nbformat.read(path, as_version=4).cells[0].source.split("\n")
        line = next((line for line in first[1:] if line), "")
        found.append(f"- [{first[0].removeprefix('# ')}](../{folder}/{path.name}). {line}")
    return "\n".join(found)


# Sphinx

def begin(app):
    """Which cells are linked to, and which lessons link to an entry of the glossary."""
    app.anchors, app.users = {}, {}
    for path in [*ROOT.glob("notebooks/**/[!.]*.ipynb"), *ROOT.glob("solutions/*.ipynb")]:
        if ".ipynb_checkpoints" in path.parts:
            continue
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type != "markdown":
                continue
            for target in re.findall(r"\]\(([^()\s]*)#cell-id=([\w-]+)\)", cell.source):
                app.anchors.setdefault(target[1], set()).add(path)
    for path in ROOT.glob("docs/*.md"):
        for cell in re.findall(r"#cell-id=([\w-]+)\)", path.read_text(encoding="utf-8")):
            app.anchors.setdefault(cell, set()).add(path)


def read(app, doc, content):
    """Sphinx asks: the source of a page."""
    out = pathlib.Path(app.outdir)
    if doc.startswith("exercises/"):
        page = exercises(ROOT / f"solutions/{doc.removeprefix('exercises/')}.ipynb", doc, out, app.anchors,
                         str(app.config.course_solutions) != "0")
        content[0] = nbformat.writes(page)
    elif doc.startswith("notebooks/"):
        notebook, below = nbformat.reads(content[0], as_version=4), {}
        if doc == "notebooks/glossary":
            for cell in notebook.cells:
                users = sorted(path for path in app.anchors.get(cell.id, ()) if path.parent.name == "notebooks")
                if users:
                    below[cell.id] = "\n\nLinked from: " + ", ".join(
                        f'<a href="{path.stem}.html">{path.stem.split("_")[0]}</a>' for path in users)
        content[0] = nbformat.writes(lesson(notebook, doc, out, app.anchors, below))
    else:
        content[0] = linked(filled(content[0], out, app.config.course_repository), doc, out)


def page(app, name, template, context, tree):
    """What the templates need: the file behind a page, where it is edited, and whether something on it is live."""
    source = {"docs/index": "README.md"}.get(name) or next(
        (f"{name}{end}" for end in (".ipynb", ".md") if (ROOT / f"{name}{end}").exists()), None)
    context["course_source"] = source
    tree = context.get("furo_navigation_tree", "")                   # the headings of the theme's list have no level
    tree = tree.replace('role="heading"', 'role="heading" aria-level="2"')
    context["furo_navigation_tree"] = tree.replace(">On trial: ", ">")       # they stand below "Claims on trial"
    context["course_live"] = "lstmcourse.show(" in context.get("body", "")
    edited = source and source.replace("exercises/", "solutions/", 1)
    if source and app.config.course_repository:
        context["course_edit"] = f"https://github.com/{app.config.course_repository}/edit/main/{edited}"
    elif source:
        context["course_edit"] = context["pathto"]("CONTRIBUTING")


def docstring(app, what, name, thing, options, lines):
    """The library's docstrings are laid out for a terminal: the first line is prose, the rest stays as it is."""
    text = "\n".join(lines).strip()
    first, _, rest = text.partition("\n\n")
    escaped = "".join(f"\\ ``{part[1:-1]}``\\ " if part.startswith("`") else re.sub(r"([\\*_`|])", r"\\\1", part)
                      for part in re.split(r"(`[^`\n]+`)", first))
    lines[:] = [*escaped.split("\n"), ""]
    if rest.strip():
        lines += [".. code-block:: text", "", *("   " + line for line in rest.split("\n")), ""]


def finish(app, error):
    """The live figures as one classic script: a module would not load from file://."""
    if error is None and app.builder.name == "html":
        static = pathlib.Path(app.outdir) / "_static"
        parts = [f"lstmcourse.figures.{name} = (() => {{\n{classic(files)}\n}})();" for name, files in FIGURES.items()]
        start = (ROOT / "docs" / "static" / "live.js").read_text(encoding="utf-8")
        (static / "live.js").write_text("\n".join([start, *parts]), encoding="utf-8")
        shutil.copyfile(WIDGETS / "explorers.css", static / "explorers.css")


def classic(files):
    """ES modules as the body of one function that returns their render."""
    text = "\n".join((WIDGETS / name).read_text(encoding="utf-8") for name in files)
    text = re.sub(r"^import .*$", "", text, flags=re.MULTILINE)
    return re.sub(r"^export (default )?", lambda match: "return " if match[1] else "", text, flags=re.MULTILINE)


def mathml(latex, display):
    """A formula as MathML. Words keep their letters together, which the converter would set one by one."""
    from latex2mathml.converter import convert
    latex = re.sub(r"\\(?:mathrm|operatorname)\{(\w+)\}", r"\\operatorname{\1}", latex)
    latex = re.sub(r"\\mathtt\{", r"\\texttt{", latex)
    latex = re.sub(r"\\arg(?![a-z])", r"\\operatorname{arg}", latex)
    latex = re.sub(r"\\([bB]igg?)\\\|", r"\\\1‖", latex)
    text = convert(latex, display="block" if display else "inline")
    return text.replace('mathvariant="monospace"', 'style="font-family:monospace"').replace(r"\_", "_")


def inline_formula(translator, node):
    translator.body.append(mathml(node.astext(), False))
    raise_skip()


def block_formula(translator, node):
    translator.body.append(f'<div class="math">{mathml(node.astext(), True)}</div>')
    raise_skip()


def raise_skip():
    from docutils import nodes
    raise nodes.SkipNode


def setup(app):
    app.add_config_value("course_solutions", True, "env", [bool, int, str])
    app.add_config_value("course_repository", os.environ.get("GITHUB_REPOSITORY", ""), "html")
    app.add_builder(Site, override=True)
    app.add_html_math_renderer("mathml", (inline_formula, None), (block_formula, None))
    app.connect("builder-inited", begin)
    app.connect("source-read", read)
    app.connect("html-page-context", page, priority=900)           # after the theme
    app.connect("autodoc-process-docstring", docstring)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
