"""`make run`: the whole platform on this machine, from nothing to a page that answers.

Exit codes: 0 stopped by Ctrl-C or SIGTERM; 2 wrong arguments; 10 no PostgreSQL or RabbitMQ to be
found; 11 already running; 12 a server failed; 13 a given server cannot be reached; 14 a right is
missing; 15 a port is taken; 16 a process died, or was not ready in time; 17 migrations failed;
18 the databases or the broker's topology were refused; 19 the first run's data were refused.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from deploy.local import backing, children, first_run, keys, processes, provision, screen
from deploy.local.backing import Servers
from deploy.local.children import Ports
from deploy.local.errors import MigrationFailed, MissingRight, PortTaken, StackError
from deploy.local.layout import REPOSITORY, SERVICES, Layout, read_json, write_json
from deploy.local.supervisor import Supervisor

MIGRATION_SECONDS = 120.0


class Stopped(BaseException):
    """Somebody asked us to stop: not an error."""


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="make run", description=__doc__.partition("\n")[0])
    parser.add_argument("--fresh", action="store_true", help="forget the data of earlier runs")
    parser.add_argument("--wipe", action="store_true", help="forget them, and start nothing")
    parser.add_argument(
        "--directory", type=Path, default=REPOSITORY / ".local", help="where the data are kept"
    )
    chosen = parser.parse_args(arguments)
    layout = Layout(chosen.directory.absolute())
    say = screen.Progress()
    try:
        with _signals():
            if chosen.wipe:
                with backing.claim(layout.root, say=say):
                    _wipe(layout)
            else:
                _run(layout, fresh=chosen.fresh, say=say)
    except Stopped:
        say("stopped")
        return 0
    except StackError as error:
        say.error(str(error))
        return error.exit_code
    except PermissionError as error:
        say.error(
            f"{error.filename}: no right to use it; was the platform started by another user "
            "(root, perhaps) before? Give the folder back with chown, or remove it"
        )
        return MissingRight.exit_code
    return 0


def _run(layout: Layout, *, fresh: bool, say: screen.Progress) -> None:
    with ExitStack() as stack:
        stack.enter_context(backing.claim(layout.root, say=say))
        layout.description.unlink(missing_ok=True)  # of a run that was killed
        if fresh:
            _wipe(layout)
            say("the data of earlier runs are gone")
        ports = _ports()
        layout.make()
        start = _Start(
            layout=layout,
            ports=ports,
            passwords=keys.make_secrets(layout),
            owners=keys.owner_passwords(layout),
            fresh=fresh,
            say=say,
        )
        servers = stack.enter_context(
            backing.find(layout.root, say=say, meanwhile=start.prepare_databases)
        )
        for sentence in servers.how:
            say(sentence)
        supervisor = Supervisor(
            owner=layout.root, folder=REPOSITORY, say=say, servers=servers.private
        )
        stack.callback(supervisor.stop)
        patience = " (RabbitMQ takes a few seconds)" if servers.private else ""
        stack.callback(say, f"stopping{patience}")
        start.processes(servers, supervisor)
        description = start.describe(servers, supervisor)
        known = first_run.ensure(layout=layout, description=description, say=say)
        if known.partner_url:
            supervisor.start(
                [
                    children.partner_child(
                        layout=layout, amqp_url=known.partner_url, queue=known.partner_queue
                    )
                ]
            )
            supervisor.wait_ready()
        stack.callback(layout.description.unlink, missing_ok=True)
        description |= {"accounts": known.accounts, "pids": supervisor.pids()}
        write_json(layout.description, description)
        say.ready(description)
        while True:
            time.sleep(0.2)
            if supervisor.tend():
                # Read again: `ccib seed` adds the accounts to a platform that was left empty.
                now = read_json(layout.description) or description
                write_json(layout.description, now | {"pids": supervisor.pids()})


@dataclass(kw_only=True)
class _Start:
    """The steps of coming up, with what they share."""

    layout: Layout
    ports: Ports
    passwords: Mapping[str, str]
    owners: Mapping[str, str]
    fresh: bool
    say: screen.Progress
    database_urls: dict[str, str] = field(default_factory=dict)
    owner_urls: dict[str, str] = field(default_factory=dict)
    topology: dict[str, Any] = field(default_factory=dict)

    def prepare_databases(self, postgres_url: str) -> None:
        """Databases, roles and migrations, while RabbitMQ is still starting."""
        self.database_urls = provision.database_urls(postgres_url, self.passwords)
        self.owner_urls = provision.database_urls(
            postgres_url, self.owners, role=provision.owner_role
        )
        provision.make_databases(postgres_url, self.passwords, owners=self.owners, fresh=self.fresh)
        self.say("databases are there")
        log = self.layout.logs / "migrations.log"
        log.unlink(missing_ok=True)
        topology = self.layout.state / "topology.json"
        told = {
            "databases": self.owner_urls,
            "roles": {service: provision.runtime_role(service) for service in self.passwords},
            "passwords": dict(self.passwords),
            "vhost": provision.VHOST,
            "topology": str(topology),
        }
        preparing = processes.spawn(
            name="migrations",
            command=[sys.executable, "-m", "deploy.local.prepare"],
            owner=self.layout.root,
            log=log,
            environment=children.base_environment() | {"CCIB_PREPARE": json.dumps(told)},
            folder=REPOSITORY,
        )
        try:
            if preparing.wait(MIGRATION_SECONDS):
                raise MigrationFailed(f"the migrations failed:\n{processes.tail(log)}")
        finally:
            processes.stop([preparing])
        self.topology = read_json(topology)
        self.say("migrations are done")

    def processes(self, servers: Servers, supervisor: Supervisor) -> None:
        """The topology, then everything that answers: mail first, the gateway last."""
        provision.make_vhost(servers, fresh=self.fresh)
        provision.provision_broker(servers, self.topology)
        self.say("queues are there; starting the services")
        layout, ports = self.layout, self.ports
        supervisor.start([children.mail_child(layout=layout, ports=ports)])
        supervisor.start(
            children.service_child(
                service,
                layout=layout,
                ports=ports,
                environment=self._environment(service)
                | children.broker_environment(
                    service, servers=servers, secret=self.passwords[service]
                ),
            )
            for service in SERVICES
        )
        supervisor.start([children.web_child(layout=layout, ports=ports)])
        supervisor.start([children.gateway_child(layout=layout, ports=ports)])
        supervisor.wait_ready()
        self.say("all services are ready")

    def describe(self, servers: Servers, supervisor: Supervisor) -> dict[str, object]:
        """What `stack.json` says, but for the accounts."""
        admin, _, secret = servers.amqp_url.partition("://")[2].rpartition("@")[0].partition(":")
        return {
            "gateway": self.ports.public,
            "postgres": self.database_urls,
            "owners": self.owner_urls,
            "amqp": provision.amqp_url(servers, user=admin, secret=secret),
            "management": servers.management_url,
            "mail": f"http://127.0.0.1:{self.ports.mail}",
            "storage": str(self.layout.storage),
            "logs": str(self.layout.logs),
            "ledger": str(self.layout.ledger),
            "trust": str(self.layout.trust),
            "services": {service: self.ports.url(service) for service in SERVICES},
            "operations": {name: self.ports.operations_url(name) for name in (*SERVICES, "web")},
            "pids": supervisor.pids(),
            "accounts": {},
        }

    def _environment(self, service: str) -> dict[str, str]:
        return children.service_environment(
            service,
            layout=self.layout,
            ports=self.ports,
            database_url=self.database_urls[service],
        )


def _wipe(layout: Layout) -> None:
    """The caller has claimed the folder."""
    backing.remove_data(layout.root)
    layout.wipe()


def _ports() -> Ports:
    """Raises PortTaken for one that people were promised."""
    promised = {
        "CCIB_PORT": _port("CCIB_PORT", 8000),
        "CCIB_MAIL_PORT": _port("CCIB_MAIL_PORT", 8025),
    }
    for variable, port in promised.items():
        if not processes.port_is_free(port):
            raise PortTaken(
                f"port {port} is in use: stop what listens there, or choose another one "
                f"({variable}={port + 1} make run)"
            )
    smtp, web, site, own, *others = processes.free_ports(4 + 2 * len(SERVICES))
    return Ports(
        gateway=promised["CCIB_PORT"],
        mail=promised["CCIB_MAIL_PORT"],
        smtp=smtp,
        web=web,
        site=site,
        services=dict(zip(SERVICES, others[: len(SERVICES)], strict=True)),
        operations={"web": own, **dict(zip(SERVICES, others[len(SERVICES) :], strict=True))},
    )


def _port(variable: str, usual: int) -> int:
    text = os.environ.get(variable) or str(usual)
    if not (text.isdecimal() and 0 < int(text) < 65_536):
        raise PortTaken(f"{variable}={text} is not a port: give a number from 1 to 65535")
    return int(text)


@contextmanager
def _signals() -> Iterator[None]:
    """Turn the first Ctrl-C, SIGTERM or SIGHUP into `Stopped`; while stopping, ignore more."""
    names = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def stop(_number: int, _frame: FrameType | None) -> None:
        for name in names:
            signal.signal(name, signal.SIG_IGN)
        raise Stopped

    before = {name: signal.signal(name, stop) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


if __name__ == "__main__":
    sys.exit(main())
