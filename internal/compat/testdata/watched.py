"""What both scripts need: clients that remember which of their methods were called, and checks."""
import contextlib
import inspect
import json
import sys
import time

from keystoneauth1 import session
from keystoneauth1.identity import v3

config = json.load(sys.stdin)
called = set()


class Watched:
    """A client, or a part of one, whose public methods are remembered once they were called."""

    def __init__(self, name, target):
        self.name, self.target = name, target

    def __getattr__(self, attribute):
        value = getattr(self.target, attribute)
        if not callable(value):
            return value

        def call(*args, **kwargs):
            called.add(f"{self.name}.{attribute}")
            return value(*args, **kwargs)
        return call


def methods(name, *classes):
    """The public methods that the classes themselves have, not those that they inherit."""
    return {f"{name}.{m}" for c in classes for m, f in vars(c).items()
            if not m.startswith("_") and (inspect.isfunction(f) or isinstance(f, staticmethod))}


def check_all_called(expected, left_out):
    """Every method was called, except those left out, which exist."""
    assert set(left_out) <= expected, f"no longer there: {set(left_out) - expected}"
    missing = expected - called - set(left_out)
    assert not missing, f"never called: {sorted(missing)}"
    assert not called & set(left_out), f"called although left out: {sorted(called & set(left_out))}"


def login(who):
    user = config["users"][who]
    return session.Session(auth=v3.Password(
        auth_url=config["auth_url"], username=user["name"], password=user["password"], user_domain_id="default",
        project_id=user["project"]))


def equal(got, want):
    assert got == want, f"{got!r}, want {want!r}"


@contextlib.contextmanager
def refused(kind, text=""):
    try:
        yield
    except kind as e:
        assert text in str(e), f"{e}, want {text!r} in it"
    else:
        raise AssertionError(f"it was not refused with {kind.__name__}")


def until(condition):
    """Asks again until it is so: imports tell nobody that they are done."""
    end = time.monotonic() + 60
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, "it does not come to that"
        time.sleep(0.05)
