"""The functions as they are uploaded: small, since a cold start waits for that."""

import pytest
from stack import FUNCTIONS, zipped

LARGEST_BYTES = 3_500_000


@pytest.mark.parametrize("binary", FUNCTIONS.values())
def test_a_package_is_within_its_bound(binary, pytestconfig):
    package = zipped(pytestconfig.getoption("bootstraps") / binary / "bootstrap")
    size = len(package)  # by name: a failed assertion would print the package
    assert size <= LARGEST_BYTES
