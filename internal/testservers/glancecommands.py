# Reads command lines of the glance client as JSON, runs them, and writes what each of them printed.
import contextlib
import io
import json
import sys

from glanceclient import shell

results = []
for argv in json.load(sys.stdin):
    out, errors = io.StringIO(), io.StringIO()
    failure = ""
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        try:
            shell.OpenStackImagesShell().main(argv)
        except (Exception, SystemExit) as e:
            failure = f"{type(e).__name__}: {e} {errors.getvalue()}"
    results.append({"Output": out.getvalue(), "Error": failure})
json.dump(results, sys.stdout)
