"""What keeps walkthrough.md and README.md true: everything that they show is run, and compared.

`python tests/documents.py FILE …` lists what is wrong; with `--update`, it first puts in what was
printed, wherever that is not what is shown. The conventions, all in the Markdown source:

```python          runs, with the document's other Python blocks, in one namespace. `x + 1  # -> 3`:
                   `# -> ` at the end of a statement, or on the lines after it, is what it prints,
                   its value or its error.
                   What follows `<!-- file: minijepa/layers.py -->` is not run but found in that
                   file, word for word, 25 lines at most; its indentation as a whole may differ.
                   Its fence says .noeval, so that it is no cell where jupytext makes a notebook.
                   What follows `<!-- write: my_world.py -->` is put into that file, in the folder
                   of the commands.
```console         `$ command` (lines that continue it begin with `> `), then its output; `…` alone
                   on a line stands for lines left out. All commands of a document run in order in
                   one folder, empty at first; the Python blocks run there after them.
```sh, text, math  are not run (set-up, the test suite, pseudocode).

Before a block with output, one comment each:
  <!-- tolerance: 10% -->      wider, or narrower, than the usual 2 %. `15% 3% 0.1` for a table: one
                               for each number of a line from the right, the leftmost for all
                               further left; 0.1 means ±0.1. One in the last digit is always free.
  <!-- ignore: [0-9.]+ s -->   a regular expression: what it matches is left out (times, versions)
All numbers of a document, whole ones too, stand a second time in tests/numbers.txt, which --update
writes (--numbers: that alone, and nothing is run). What was worked out by hand or is published
cannot be run, and what is run has a tolerance: none of it shall change by accident.
After a paragraph with numbers such as 1.64 (outside code and formulas), one of:
  <!-- from: COMMAND | 1.64 17 -->  these numbers stand in the paragraph and in the output of the
                                    command (`python`: of the Python blocks), with the tolerance of
                                    its block, or of a tolerance comment behind the paragraph;
                                    of `tests/tables/video.json`, what tables.py shows of it
  <!-- by hand -->                  worked out in the text
  <!-- source: I-JEPA, table 1 -->  published
"""

import ast
import contextlib
import difflib
import functools
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import textwrap
import tokenize
from pathlib import Path

import tables

ROOT = Path(__file__).resolve().parents[1]
FENCE = re.compile(r"^( *)(`{3,})(\w*)([^\n]*)\n(.*?)^ *\2[ ]*$", re.M | re.S)
COMMENTS = re.compile(r"(?:<!--(?:(?!-->).)*-->\s*)+\Z", re.S)
COMMENT = re.compile(r"<!--\s*(.*?)\s*-->", re.S)
NUMBER = re.compile(r"(?<![\w.])[-+−]?(?:\d+\.\d*(?:e[-+]?\d+)?|\d+e[-+]?\d+|\.\d+)(?!\w)")
DEFAULT, ZERO = [(0.02, 0)], 1e-7
LEDGER = ROOT / "tests" / "numbers.txt"
ANY_NUMBER = re.compile(r"\d+(?:[.,]\d+)*(?:e[-+]?\d+)?|[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+|[¼½¾]")
CHECKS = ("wrong_outputs", "wrong_blocks", "wrong_numbers", "wrong_references", "wrong_formulas",
          "changed_numbers")
LATEX = set("""
    alpha beta gamma delta epsilon varepsilon eta theta lambda mu nu pi rho sigma tau phi psi omega
    Delta Sigma hat bar tilde dot vec overline underbrace frac dfrac tfrac sqrt sum prod partial
    nabla infty ell prime mathbb mathbf mathrm mathcal mathit operatorname text left right big Big
    bigl bigr Bigl Bigr vert Vert lVert rVert lvert rvert lbrace rbrace langle rangle lfloor rfloor
    cdot cdots ldots dots vdots ddots times odot circ ast star top intercal pm mp le leq ge geq lt
    gt ne neq approx equiv sim propto in notin subset cup cap forall exists to gets mapsto leftarrow
    rightarrow longrightarrow Rightarrow Leftarrow leftrightarrow iff implies quad qquad thinspace
    log ln exp min max arg cos sin tan lim det begin end aligned matrix bmatrix pmatrix cases array
""".split())


# What is the same

def unit(text):
    """The value of one in the last printed digit: 0.01 for 1.25, 1e-4 for 1.2e-3."""
    digits, _, exponent = text.partition("e")
    return 10.0 ** (int(exponent or 0) - len(digits.partition(".")[2]))


def parse_tolerance(text):
    """"15% 3% 0.1"  ->  [(relative, absolute)]."""
    return [(float(word[:-1]) / 100, 0) if word.endswith("%") else (0, float(word))
            for word in text.split()]


def same_number(shown, run, tolerance=DEFAULT, from_right=1):
    """Sums in another order change this much; numbers below 1e-7 are rounding errors."""
    relative, absolute = tolerance[max(0, len(tolerance) - from_right)]
    shown, run = shown.replace("−", "-"), run.replace("−", "-")
    a, b = float(shown), float(run)
    size, last_digit = max(abs(a), abs(b)), max(unit(shown), unit(run))
    return size < ZERO or abs(a - b) <= relative * size + absolute + last_digit * (1 + 1e-9)


def same_line(shown, run, tolerance=DEFAULT):
    if isinstance(shown, dict) and isinstance(run, dict):
        return same_ranking(shown, run, tolerance)
    if isinstance(shown, dict) or isinstance(run, dict):
        return False
    if NUMBER.sub("#", shown).split() != NUMBER.sub("#", run).split():
        return False
    pairs = list(zip(NUMBER.findall(shown), NUMBER.findall(run)))
    return all(same_number(a, b, tolerance, len(pairs) - i) for i, (a, b) in enumerate(pairs))


def same_ranking(shown, run, tolerance=DEFAULT):
    """Words with a number each, best first: nearly equal ones change places, the last may fall."""
    fallen = [word for word in shown if word not in run]
    risen = [word for word in run if word not in shown]
    pairs = [(shown[word], run[word]) for word in shown if word in run]
    pairs += [(shown[a], run[b]) for a, b in zip(fallen, risen)]
    return (len(shown) == len(run) and fallen in ([], [*shown][-1:]) and risen in ([], [*run][-1:])
            and all(same_number(a, b, tolerance) for a, b in pairs))


def with_rankings(lines):
    """{word: number} in the place of `ball 0.97  leaf 0.90  …`, or of lines `0.97  ball`."""
    items, open_ranking = [], False
    for line in lines:
        entry = re.fullmatch(r" *(\d\.\d+) +([^\W\d]+)", line)
        if entry and items and isinstance(items[-1], dict) and open_ranking:
            items[-1][entry[2]] = entry[1]
        elif entry:
            items.append({entry[2]: entry[1]})
        elif re.fullmatch(r"( *[^\W\d]+ +\d\.\d+){3,}", line):
            items.append(dict(re.findall(r"(\S+) +(\S+)", line)))
        else:
            items.append(line)
        open_ranking = bool(entry)
    return items


def same_text(shown, run, tolerance=DEFAULT, ignore=()):
    """Equal but for spaces, the last digits, and what stands for left-out lines."""
    for pattern in ignore:
        shown, run = re.sub(pattern, "", shown), re.sub(pattern, "", run)
    shown, run = (with_rankings(text.rstrip().splitlines()) for text in (shown, run))

    @functools.cache
    def matches(i, j):
        if i == len(shown):
            return j == len(run)
        if isinstance(shown[i], str) and shown[i].strip() == "…":
            return any(matches(i + 1, k) for k in range(j, len(run) + 1))
        return j < len(run) and same_line(shown[i], run[j], tolerance) and matches(i + 1, j + 1)

    return matches(0, 0)


def refreshed(shown, run):
    """The output as it is now, without the lines that were left out."""
    shown, run = shown.rstrip().splitlines(), run.rstrip().splitlines()
    gaps = [i for i, line in enumerate(shown) if line.strip() == "…"]
    if not gaps:
        return "\n".join(run)
    tail = len(shown) - gaps[-1] - 1
    head, middle, last = run[:gaps[0]], run[gaps[0]:len(run) - tail], run[len(run) - tail:]
    kept = []
    for line in shown[gaps[0]:gaps[-1] + 1]:
        if line.strip() != "…" and middle:
            near = max(range(len(middle)),
                       key=lambda i: difflib.SequenceMatcher(None, line, middle[i]).ratio())
            line, middle = middle[near], middle[near + 1:]
        kept.append(line)
    return "\n".join(head + kept + last)


# Running

@functools.cache
def pure_run(command):
    with tempfile.TemporaryDirectory() as folder:
        return shell(command, folder), sorted(os.listdir(folder)) == []


def shell(command, folder):
    """What a reader sees who types this; tests/ is that of the repository."""
    command = command.replace(" tests/", f" {ROOT}/tests/")
    env = {"OPENBLAS_NUM_THREADS": "1", **os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80",
           "PYTHONIOENCODING": "utf-8", "PYTHONUTF8": "1"}
    script = f'python() {{ {shlex.quote(sys.executable)} "$@"; }}\n{command}'
    return subprocess.run(["sh", "-c", script], cwd=folder, env=env, stdin=subprocess.DEVNULL,
                          text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          encoding="utf-8", timeout=1800).stdout


def output_of(command, folder):
    """Run once for all documents, unless it writes files or names what is in the folder."""
    own = any(name in command for name in os.listdir(folder))
    if command.startswith("python -m minijepa") and not own:
        output, leaves_nothing = pure_run(command)
        if leaves_nothing:
            return output
    return shell(command, folder)


def statements(source):
    """[(the statement's code, the line after its last, its marks {line: what it shows})]."""
    marks = {token.start[0]: token.string[4:].removeprefix(" ").rstrip()
             for token in tokenize.generate_tokens(io.StringIO(source).readline)
             if token.type == tokenize.COMMENT and token.string.startswith("# ->")}
    nodes, lines = ast.parse(source).body, source.split("\n")
    starts = [min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])
              for node in nodes]
    found = []
    for node, start, end in zip(nodes, starts, [*starts[1:], len(lines) + 1]):
        code = [*lines[start - 1:node.lineno - 1], ast.get_source_segment(source, node)]
        own = {line: text for line, text in marks.items() if start <= line < end}
        found.append(("\n".join(code), node.end_lineno + 1, own))
    return found


def run_statements(codes):
    """What each prints in one namespace, as the interactive Python does; whether it failed."""
    namespace, outputs = {"__name__": "__main__"}, []
    for code in codes:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            try:
                if isinstance(ast.parse(code).body[0], ast.Expr):
                    value = eval(compile(code.strip(), "<block>", "eval"), namespace)
                    if value is not None:
                        print(repr(value))
                else:
                    exec(code, namespace)
            except Exception as error:
                print(f"{type(error).__name__}: {error}")
                outputs.append([out.getvalue(), True])
                continue
        outputs.append([out.getvalue(), False])
    return outputs


def in_another_process(codes, folder):
    """So that what a block changes in the package stays there."""
    if not codes:
        return []
    source = ("import json, sys, documents; codes = json.load(sys.stdin); "
              "json.dump(documents.run_statements(codes), sys.stdout)")
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    env = {"OPENBLAS_NUM_THREADS": "1", **os.environ, "PYTHONPATH": path, "PYTHONUTF8": "1"}
    done = subprocess.run([sys.executable, "-c", source], input=json.dumps(codes), cwd=folder,
                          env=env, text=True, stdout=subprocess.PIPE, encoding="utf-8",
                          timeout=1800, check=True)
    return json.loads(done.stdout)


# A document

class Block:
    """A fenced block: language, text without the indentation, comments before it, its place."""

    def __init__(self, match, text):
        self.indent, _, self.language, self.info, body = match.groups()
        self.text, self.span = textwrap.dedent(body), match.span(5)
        self.line = text.count("\n", 0, match.start()) + 1
        before = COMMENTS.search(text[:match.start()])
        comments = [comment.partition(":")
                    for comment in COMMENT.findall(before.group() if before else "")]
        said = {key.strip(): value.strip() for key, _, value in comments}
        self.file, self.write = said.get("file"), said.get("write")
        self.tolerance = parse_tolerance(said["tolerance"]) if "tolerance" in said else DEFAULT
        self.ignore = [value.strip() for key, _, value in comments if key.strip() == "ignore"]

    def agrees(self, shown, run):
        return same_text(shown, run, self.tolerance, self.ignore)

    def commands(self):
        """[(command, the lines that show it, its output as shown)]."""
        parts = re.split(r"^(\$ .*\n(?:> .*\n)*)", self.text, flags=re.M)
        return [(re.sub(r"^(\$|>) ", "", prompt, flags=re.M).rstrip("\n"), prompt, shown)
                for prompt, shown in zip(parts[1::2], parts[2::2])]


class Document:
    def __init__(self, path):
        self.path = Path(path)
        self.text = self.path.read_text(encoding="utf-8")
        self.blocks = [Block(match, self.text) for match in FENCE.finditer(self.text)]
        self.prose = FENCE.sub(lambda match: "\n" * match.group().count("\n"), self.text)

    @functools.cached_property
    def results(self):
        """Everything runs: [(block, [(prompt or statement, shown, printed, failed)])]."""
        results, self.outputs, self.tolerances = [], {}, {}
        with tempfile.TemporaryDirectory() as folder:
            for block in self.blocks:
                if block.write is not None:
                    Path(folder, block.write).write_text(block.text, encoding="utf-8")
                if block.language == "console":
                    results.append((block, []))
                    for command, prompt, shown in block.commands():
                        output = output_of(command, folder)
                        results[-1][1].append((prompt, shown, output, False))
                        self.outputs[command] = self.outputs.get(command, "") + output
                        self.tolerances[command] = block.tolerance
            blocks = [(block, statements(block.text)) for block in self.blocks
                      if block.language == "python" and block.file is None and block.write is None]
            codes = [code for _, parts in blocks for code, *_ in parts]
            printed = iter(in_another_process(codes, folder))
            for block, parts in blocks:
                ran = [(part, "\n".join(part[2].values()), *next(printed)) for part in parts]
                results.append((block, ran))
                output = "".join(out for _, _, out, _ in ran)
                self.outputs["python"] = self.outputs.get("python", "") + output
            return results

    def wrong_outputs(self):
        for block, ran in self.results:
            for what, shown, output, failed in ran:
                is_command = block.language == "console"
                title, compared = (what, True) if is_command else (what[0], bool(what[2]))
                if failed and not compared or compared and not block.agrees(shown, output):
                    yield f"line {block.line}: {title.strip()}\nshown:\n{shown}\nprinted:\n{output}"

    def wrong_blocks(self):
        for block in self.blocks:
            if block.language not in ("python", "console", "sh", "text", "math", "mermaid"):
                yield (f"line {block.line}: a block in the language {block.language!r} "
                       "that nothing checks")
            if block.language == "console" and not block.text.startswith("$ "):
                yield f"line {block.line}: a console block begins with `$ command`"
            if (block.file is None) is ("noeval" in block.info):
                yield f"line {block.line}: ```python .noeval is for excerpts, and for all of them"
            if block.file is not None:
                file = ROOT / block.file
                code = [line.rstrip() for line in block.text.strip("\n").split("\n")]
                lines = file.read_text(encoding="utf-8").split("\n") if file.is_file() else []
                places = (textwrap.dedent("\n".join(lines[i:i + len(code)])).split("\n")
                          for i in range(len(lines)))
                if not any([line.rstrip() for line in place] == code for place in places):
                    yield f"line {block.line}: not found in {block.file}:\n{block.text}"
                if len(code) > 25:
                    yield f"line {block.line}: an excerpt of {len(code)} lines; 25 is the most"

    def wrong_numbers(self):
        """Numbers in the prose that come from nowhere, or are not what their command prints."""
        self.results
        paragraphs = []            # [line, text]; one of comments alone belongs to that before it
        for match in re.finditer(r"(?:(?!\s*$).*\n?)+", self.prose, re.M):
            if paragraphs and not COMMENT.sub("", match.group()).strip():
                paragraphs[-1][1] += match.group()
            else:
                paragraphs.append([self.prose.count("\n", 0, match.start()) + 1, match.group()])
        for line, paragraph in paragraphs:
            here, comments = f"line {line}", COMMENT.findall(paragraph)
            bare = COMMENT.sub("", paragraph)
            words = re.sub(r"`+.*?`+|\$\$.*?\$\$|\$.*?\$|\]\(.*?\)|(Python|NumPy) \d[\d.]*\d", "",
                           bare, flags=re.S)
            own = [parse_tolerance(comment[10:]) for comment in comments
                   if comment.startswith("tolerance:")]
            tied = set()
            for comment in comments:
                if comment.startswith("from:"):
                    command, _, numbers = map(str.strip, comment[5:].rpartition("|"))
                    if command not in self.outputs:
                        self.outputs[command], self.tolerances[command] = looked_up(command)
                    tolerance = own[0] if own else self.tolerances.get(command, DEFAULT)
                    tied.update(numbers.split())
                    for number in numbers.split():
                        if not re.search(rf"(?<![\w.]){re.escape(number)}(?!\w|\.\d)", bare):
                            yield f"{here}: {number} is not in the paragraph"
                        if not prints(self.outputs[command], number, tolerance):
                            yield f"{here}: {number} is not in the output of {command}"
            if not any(comment.startswith(("by hand", "source:")) for comment in comments):
                for number in re.findall(r"(?<![\w.])\d+\.\d+(?!\w|\.\d)", words):
                    if number not in tied:
                        yield (f"{here}: {number}: add <!-- from: COMMAND | {number} -->, <!-- by "
                               "hand --> or <!-- source: … -->")

    def numbers(self):
        """All its numbers, a line for each line that has some."""
        lines = COMMENT.sub("", self.text).splitlines()
        return [" ".join(found) for found in map(ANY_NUMBER.findall, lines) if found]

    def changed_numbers(self):
        """Numbers that are not as they were written down."""
        kept = ledger().get(self.path.name)
        if kept is not None:
            for line in difflib.unified_diff(kept, self.numbers(), "written down", "now", n=0,
                                             lineterm=""):
                yield line

    def wrong_references(self):
        """Links, pictures, modules and files that are not there."""
        prose = re.sub(r"`[^`\n]*`", "", self.prose)
        links = re.findall(r"(!?)\[([^\]]*)\]\(([^)\s]+)[^)]*\)", prose)
        for tag in re.findall(r"<(?:img|source|a)\b[^>]*>", prose):
            attributes = dict(re.findall(r'(\w+)="([^"]*)"', tag))
            for key in {"src", "srcset", "href"} & set(attributes):
                links.append(("!" if tag.startswith("<img") else "", attributes.get("alt", ""),
                              attributes[key]))
        for picture, words, target in links:
            file, _, anchor = target.partition("#")
            file = self.path.parent / file if file else self.path
            if picture and not words.strip():
                yield f"{target}: a picture without words for those who cannot see it"
            if re.match(r"(https?|mailto):", target):
                continue
            if not file.exists():
                yield f"{target}: no such file"
            elif anchor and file.suffix == ".md":
                if anchor not in anchors(file.read_text(encoding="utf-8")):
                    yield f"{target}: no such heading"
        for module in sorted(set(re.findall(r"python3? -m (minijepa(?:\.\w+)*)", self.text))):
            place = ROOT / module.replace(".", "/")
            if not (place.with_suffix(".py").exists() or (place / "__main__.py").exists()):
                yield f"{module}: no such module"
        for file in sorted(set(re.findall(r"`((?:minijepa|tests)/[\w./-]*)", self.prose))):
            if not (ROOT / file).exists():
                yield f"{file}: no such file"
        if len(re.findall("<details", self.prose)) != len(re.findall("</details>", self.prose)):
            yield "<details> and </details> are not equal in number"

    def wrong_formulas(self):
        """What the code-hosting sites (KaTeX, MathJax) would not render as a formula."""
        prose = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "",
                       COMMENT.sub("", self.prose).replace("\\$", ""), flags=re.S)
        formulas = [block.text for block in self.blocks if block.language == "math"]
        for paragraph in re.split(r"\n\s*\n", prose):
            display = re.findall(r"\$\$(.*?)\$\$", paragraph, re.S)
            rest = re.sub(r"\$\$.*?\$\$", "", paragraph, flags=re.S)
            inline = re.findall(r"\$([^$]*)\$", rest)
            if "$" in re.sub(r"\$[^$]+\$", "", rest):
                yield f"a dollar sign too many: {paragraph.strip()}"
            for formula in re.findall(r"\w\$[^$]*\$|\$[^$]*\$\w|\$\s[^$]*\$|\$[^$]*\s\$", rest):
                if "$$" not in formula and formula.strip("$ ") in map(str.strip, inline):
                    yield ("a formula that touches a word, or begins or ends with a space: "
                           f"{formula}")
            for formula in display + inline:
                # Markdown reads these first; a ```math block is safe from it
                for found in re.findall(r"\\[{},;:!_|#%&]|\*|<(?=\w)", formula):
                    yield (f"{found} in $…$: use \\lbrace, \\vert, \\ast, \\lt, …, "
                           f"or a ```math block: {formula}")
            formulas += display + inline
        for formula in formulas:
            for name in sorted(set(re.findall(r"\\([A-Za-z]+)", formula)) - LATEX):
                yield f"\\{name} is not among the commands known to be rendered: {formula}"
            for left, right in ((r"(?<!\\)\{", r"(?<!\\)\}"), (r"\\left\b", r"\\right\b"),
                                (r"\\begin\b", r"\\end\b")):
                if len(re.findall(left, formula)) != len(re.findall(right, formula)):
                    yield f"{left} and {right} are not equal in number: {formula}"

    def update(self):
        """Write the file with what is printed now, where that is not what is shown."""
        text = self.text
        for block, ran in sorted(self.results, key=lambda result: -result[0].span[0]):
            if block.language == "console":
                now = ((prompt, shown if block.agrees(shown, out) else refreshed(shown, out) + "\n")
                       for prompt, shown, out, _ in ran)
                new = "".join(prompt + output for prompt, output in now)
                new = re.sub(r"\n+\Z", "\n", new)
            else:
                lines = block.text.split("\n")
                for (_, after, marks), shown, out, _ in reversed(ran):
                    if marks and not block.agrees(shown, out):
                        lines = with_result(lines, after, marks, refreshed(shown, out).split("\n"))
                new = "\n".join(lines)
            text = text[:block.span[0]] + textwrap.indent(new, block.indent) + text[block.span[1]:]
        self.path.write_text(text, encoding="utf-8")


def write_down(path):
    """Its numbers as they are now, where such are kept."""
    if Path(path).name in (kept := ledger()):
        kept[Path(path).name] = Document(path).numbers()
        LEDGER.write_text("".join(f"{name}\n  " + "\n  ".join(lines) + "\n"
                                  for name, lines in kept.items()), encoding="utf-8")


def ledger():
    """{document: its numbers, line by line}, as they were written down."""
    kept = {}
    for line in LEDGER.read_text(encoding="utf-8").splitlines():
        if line.startswith("  "):
            kept[[*kept][-1]].append(line[2:])
        else:
            kept[line] = []
    return kept


def looked_up(source):
    """What a kept table shows, or a command prints; the tolerance."""
    if source.endswith(".json"):
        return tables.shown(json.loads((ROOT / source).read_text())), [(0, 0)]
    return pure_run(source)[0], DEFAULT


def prints(output, number, tolerance):
    """Is the number in the output? A whole one as it stands, or as a decimal one near it."""
    if re.search(rf"(?<![\w.]){re.escape(number)}(?!\w|\.\d)", output):
        return True
    return any(same_number(number, each, tolerance, len(found) - i) for line in output.splitlines()
               for found in [NUMBER.findall(line)] for i, each in enumerate(found))


def anchors(text):
    """What GitHub calls the headings of a document, and the anchors that it sets itself."""
    names = []
    for heading in re.findall(r"^#{1,6} +(.*?)[ #]*$", FENCE.sub("", text), re.M):
        slug = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", slug).replace(" ", "-")
        names.append(slug if slug not in names else f"{slug}-{names.count(slug)}")
    return {*names, *re.findall(r'<a (?:id|name)="([^"]+)"', text)}


def with_result(lines, after, marks, output):
    """The lines of a block, with a statement's result behind it or, of several lines, under it."""
    lines = list(lines)
    for number in sorted(marks, reverse=True):
        code = re.sub(r"\s*# ->.*", "", lines[number - 1])
        if len(marks) == 1 and len(output) == 1:
            lines[number - 1] = f"{code}{'  ' * bool(code)}# -> {output[0]}".rstrip()
            return lines
        lines[number - 1:number] = [code] if code else []
    lines[after - 1:after - 1] = [f"# -> {line}".rstrip() for line in output]
    return lines


def main(arguments):
    wrong, named = [], [name for name in arguments if name not in ("--update", "--numbers")]
    for path in named or [ROOT / "README.md", ROOT / "walkthrough.md"]:
        if "--update" in arguments:
            Document(path).update()
        if len(named) < len(arguments):
            write_down(path)
        if "--numbers" in arguments:
            continue
        document = Document(path)
        wrong += [f"{path}: {each}" for check in CHECKS for each in getattr(document, check)()]
    print("\n".join(wrong))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
