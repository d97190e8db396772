"""What becomes of the deployment itself: a parameter that changes, and a stack that is deleted and comes back to its
tables. It comes last, since nothing is deployed afterwards.
"""

import json
import pathlib
import subprocess
import sys

from stack import STACK

ROOT = pathlib.Path(__file__).resolve().parent.parent
TABLES = ("hooks", "hook-state", "hook-samples", "hook-errors", "identities", "claims")


def live(stack, function):
    """What the alias `live` of a function has for variables, and the version that it points to."""
    client = stack.emulator.client("lambda")
    found = client.get_function_configuration(FunctionName=stack.physical[function], Qualifier="live")
    return found["Environment"]["Variables"], found["Version"]


def test_a_changed_parameter_is_a_new_version(stack):
    before, version = live(stack, "Deliver")
    assert before["RETRY_SCHEDULE"] == "1s,2s"
    _, other = live(stack, "Ingest")

    stack.update(RetrySchedule="2s,3s")

    after, newer = live(stack, "Deliver")
    assert after["RETRY_SCHEDULE"] == "2s,3s"
    assert newer != version
    # It does not refer to the parameter.
    assert live(stack, "Ingest")[1] == other


def test_tables_outlive_their_stack_and_are_imported_into_the_next(stack, subscribe, call, tokens, tmp_path):
    hook = subscribe("cohort_user.added", "outlives")
    stack.delete()
    names = stack.emulator.client("dynamodb").list_tables()["TableNames"]
    assert set(names) == {f"{STACK}-{name}" for name in TABLES}

    script = ROOT / "scripts/import_tables.py"
    subprocess.run([sys.executable, script, STACK, tmp_path], check=True)
    stack.change(
        "IMPORT",
        "stack_import_complete",
        TemplateBody=(tmp_path / "tables.json").read_text(encoding="utf-8"),
        ResourcesToImport=json.loads((tmp_path / "resources.json").read_text(encoding="utf-8")),
    )
    stack.update()
    assert call("GET", f"hook/subscribe/{hook}", tokens.academy).status == 200
