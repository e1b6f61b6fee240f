"""Against a real mesh with the demo's data, which integration/clients starts; skipped without one."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import concordat

HOME = os.environ.get("CONCORDAT_TEST_HOME", "")
pytestmark = pytest.mark.skipif(not HOME, reason="there is no mesh: `make clients` in the repository starts one")

KEY = os.environ.get("CONCORDAT_TEST_KEY", "")
BIN = os.environ.get("CONCORDAT_TEST_BIN", "")
DIGEST = os.environ.get("CONCORDAT_TEST_DIGEST", "")


@pytest.fixture
def mesh() -> concordat.Connection:
    """Connect as the analyst."""
    return concordat.connect(HOME, key=KEY, program=BIN)


def test_study(mesh: concordat.Connection) -> None:
    """Each question of the study gives what the command line gave, and its receipt verifies."""
    answers = json.loads(Path(os.environ["CONCORDAT_TEST_ANSWERS"]).read_text())
    for file in sorted(Path(os.environ["CONCORDAT_TEST_STUDY"]).glob("*.sql")):
        want = answers[file.stem]
        release = mesh.query(file.read_text(), intervals=False)
        assert release.table.column_names == [c["name"] for c in want["columns"]]
        got = [list(row.values()) for row in release.table.to_pylist()]
        assert [[_number(v) for v in row] for row in got] == [[_number(v) for v in row] for row in want["rows"]]
        assert release.receipt_id == want["receipt"]["id"]
        assert release.mechanism == want["mechanism"]
        assert list(release.notes) == want["notes"]
        assert all(p.rho == 0 for p in release.price)  # the command line has paid
        assert "verified: receipt of query" in mesh.verify(release, digest=DIGEST)


def _number(value: object) -> object:
    try:
        return float(str(value))
    except ValueError:
        return str(value)


SQL = "SELECT male, count(DISTINCT id) AS patients FROM clinic.patients WHERE age >= 40 GROUP BY male"


def test_intervals_and_explanation(mesh: concordat.Connection) -> None:
    """Intervals stand beside each aggregate; an explanation tells their width, price and columns beforehand."""
    explained = mesh.explain(SQL)
    assert [(c.name, c.kind) for c in explained.columns] == [("male", "key"), ("patients", "aggregate")]
    assert explained.columns[1].expected is not None
    assert explained.price[0].owner == "clinic"
    table = mesh.query(SQL).table
    assert table.column_names == ["male", "patients", "patients_low", "patients_high"]
    for row in table.to_pylist():
        assert row["patients_low"] <= row["patients"] <= row["patients_high"]
    assert "verified: receipt of query" in mesh.verify(mesh.receipt(mesh.query(SQL).receipt_id), digest=DIGEST)


def test_datasets(mesh: concordat.Connection) -> None:
    """Datasets are listed under names that queries may use, with what each column is for."""
    with mesh as here:
        listed = here.datasets()
    assert [d.name for d in listed] == ["clinic.patients", "laboratory.results", "registry.events"]
    columns = {c.name: c for c in listed[0].columns}
    assert (columns["id"].role, columns["id"].namespace) == ("identifier", "patient")
    assert columns["age"].bounds is not None
    assert mesh.explain("SELECT count(DISTINCT id) AS n FROM " + listed[0].name).price  # noqa: S608 - a name that was listed


def test_timeout(mesh: concordat.Connection) -> None:
    """Who does not wait for long is told so."""
    with pytest.raises(concordat.TimedOut):
        mesh.query(SQL, timeout=0.001)


INTERRUPTED = """
import signal, sys, concordat
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have left it ignored
mesh = concordat.connect(sys.argv[1], key=sys.argv[2])
print("asks", flush=True)
while True:
    mesh.query(sys.argv[3])
"""


def test_interrupt() -> None:
    """Ctrl-C ends a query, and with it the program."""
    with subprocess.Popen([sys.executable, "-c", INTERRUPTED, HOME, KEY, SQL], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as asks:
        assert asks.stdout is not None
        assert asks.stderr is not None
        assert asks.stdout.readline() == "asks\n"
        asks.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in asks.stderr.read()
    assert asks.returncode != 0


def test_tampered_receipt(mesh: concordat.Connection) -> None:
    """A receipt with another value does not verify."""
    receipt = mesh.query(SQL).receipt
    at = re.search(r'"rows":\[\[\D*(\d)', receipt)
    assert at is not None
    changed = receipt[: at.start(1)] + str((int(at[1]) + 1) % 10) + receipt[at.end(1) :]
    with pytest.raises(concordat.NotVerified, match="NOT VERIFIED"):
        mesh.verify(changed, digest=DIGEST)


def test_refused(mesh: concordat.Connection) -> None:
    """A refusal has the same reasons, whether asked or explained."""
    with pytest.raises(concordat.Refused) as asked:
        mesh.query("SELECT * FROM clinic.patients")
    with pytest.raises(concordat.Refused) as explained:
        mesh.explain("SELECT * FROM clinic.patients")
    assert asked.value.refusals == explained.value.refusals
    assert "not_aggregated" in [r.code for r in asked.value.refusals]


def test_records(mesh: concordat.Connection) -> None:
    """History has what was asked; budgets are told of each owner."""
    mesh.query(SQL)
    assert SQL in [q["sql"] for q in mesh.history(limit=5)]
    assert {b["owner"] for b in mesh.budget()} == {"clinic", "laboratory", "registry"}


def test_upload_is_refused_to_an_analyst(mesh: concordat.Connection, tmp_path: Path) -> None:
    """What the binary says of an upload is raised."""
    file = tmp_path / "patients.csv"
    file.write_text("id,age\n1,40\n")
    with pytest.raises(concordat.UploadFailed):
        mesh.upload("clinic.patients", file)


def test_strangers(tmp_path: Path) -> None:
    """A mesh that is not the pinned one is not spoken to, and a key that is in no manifest opens nothing."""
    state = json.loads((Path(HOME) / "mesh.json").read_text())
    here = state["coordinators"][0]
    root = Path(HOME) / "root.pem"
    with pytest.raises(concordat.NotPinned, match="another mesh"):
        concordat.connect(address=here["api"], flight=here["flight"], root=root, pin="sha256:" + "0" * 64, key=KEY)
    with pytest.raises(concordat.NotPinned, match="is no coordinator"):
        concordat.connect(address=state["workers"][0]["mesh"], flight=here["flight"], root=root, pin=state["root_certificate"], key=KEY)
    seed = tmp_path / "stranger.key"
    seed.write_text("ed25519-seed:" + "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n")
    seed.chmod(0o600)
    stranger = concordat.connect(address=here["api"], flight=here["flight"], root=root, pin=state["root_certificate"], key=seed)
    with pytest.raises(concordat.ConcordatError, match="nobody"):
        stranger.query(SQL)
    with pytest.raises(concordat.CallFailed, match="unauthenticated"):
        stranger.budget()


def test_nobody_answers() -> None:
    """Without a coordinator the mesh is unavailable."""
    state = json.loads((Path(HOME) / "mesh.json").read_text())
    with pytest.raises(concordat.Unavailable):
        concordat.connect(address="127.0.0.1:1", flight="127.0.0.1:1", root=Path(HOME) / "root.pem", pin=state["root_certificate"], key=KEY)
    with pytest.raises(concordat.ConcordatError, match=r"mesh\.json cannot be read"):
        concordat.connect("nowhere", key=KEY)
    with pytest.raises(concordat.ConcordatError, match="there is no key"):
        concordat.connect(HOME, key="nowhere.key")


def test_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The example of the README runs as it stands, but for the digest."""
    home = tmp_path / ".concordat"
    (home / "keys").mkdir(parents=True)
    for name in ("mesh.json", "root.pem"):
        shutil.copy(Path(HOME) / name, home / name)
    shutil.copy(KEY, home / "keys" / "ana.key")
    (home / "keys" / "ana.key").chmod(0o600)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(Path(BIN).parent), prepend=os.pathsep)
    text = (Path(__file__).parents[1] / "README.md").read_text()
    [example] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(compile(example.replace("sha256:...", DIGEST), "README.md", "exec"), {})  # noqa: S102 - our own example
    said = capsys.readouterr().out
    assert "patients_low" in said
    assert "verified: receipt of query" in said
    assert "not_aggregated" in said
