"""Serves a Keystone in the current directory: servekeystone.py HOST:PORT PASSWORD [SECONDS-A-TOKEN-LIVES].

The first time it makes the database and the user admin. Everything happens in one process with its forks, because
loading Keystone takes longer than all the rest.
"""
import os
import sqlite3
import sys

os.environ["OS_KEYSTONE_CONFIG_DIR"] = os.getcwd()

import gunicorn.app.wsgiapp  # noqa: E402
import keystone.cmd.manage  # noqa: E402
import keystone.server.wsgi  # noqa: E402,F401

# Without a cache Keystone thinks for a second about each token.
CONFIG = """[DEFAULT]
log_file = {dir}/keystone.log
use_stderr = false
[database]
connection = sqlite:///{dir}/keystone.db
[token]
expiration = {expiration}
[fernet_tokens]
key_repository = {dir}/keys
[fernet_receipts]
key_repository = {dir}/keys
[credential]
key_repository = {dir}/keys
[identity]
password_hash_rounds = 4
[cache]
enabled = true
backend = dogpile.cache.memory
"""


def manage(*args):
    child = os.fork()
    if child == 0:
        sys.argv = ["keystone-manage", "--config-file", "keystone.conf", *args]
        keystone.cmd.manage.main()
        os._exit(0)
    if os.waitpid(child, 0)[1] != 0:
        sys.exit("keystone-manage " + args[0] + " failed")


address, password, expiration = sys.argv[1:]
with open("keystone.conf", "w") as f:
    f.write(CONFIG.format(dir=os.getcwd(), expiration=expiration))
if not os.path.exists("keystone.db"):
    manage("db_sync")
    # Without it readers lock writers out.
    sqlite3.connect("keystone.db").execute("PRAGMA journal_mode=WAL")
    url = "http://" + address + "/v3"
    manage("bootstrap", "--bootstrap-password", password, "--bootstrap-region-id", "RegionOne",
           "--bootstrap-public-url", url, "--bootstrap-internal-url", url, "--bootstrap-admin-url", url)
sys.argv = ["gunicorn", "--bind", address, "--workers", "1", "--worker-class", "sync", "--timeout", "60",
            "--graceful-timeout", "1", "keystone.server.wsgi:initialize_public_application()"]
server = gunicorn.app.wsgiapp.WSGIApplication()
sys.argv = sys.argv[:1]  # Keystone reads them too
server.run()
