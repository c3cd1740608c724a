"""The manifests for Kubernetes are valid, and name what the code has: queues, roles, variables, ports, commands.

Schemas of Kubernetes come with `kubernetes-validate`; KEDA's resources are checked against the fields that we use. What
only a cluster can say (admission, scheduling, networks, KEDA at work) is not checked here.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft202012Validator

from services.desk.cli.run import Which
from shared.broker.accounts import ACCOUNTS
from shared.broker.lanes import queues_with, with_lanes
from shared.broker.topology import SERVICES
from shared.health import listening
from shared.metrics import Metrics
from shared.roles import OWNER, ROLES
from shared.settings import Settings
from tests.kubernetes_manifests import ALONE, FOLDER, OVERLAYS, Manifest, named, overlay, pods, read, used_files
from tests.servers import free_port

ROOT = FOLDER.parents[1]
VERSIONS = ("1.27", "1.30", "1.33", "1.36")
SECRETS = "/run/secrets/stockbook"
PORTS = {"postgresql": 5432, "amqps": 5671}
DNS = 53
BASE = "small"  # what is asked of every overlay alike is asked of this one

_NAME = {"type": "string", "minLength": 1}
_METADATA = {"type": "object", "required": ["name", "namespace"], "properties": {"name": _NAME, "namespace": _NAME}}


def _closed(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "additionalProperties": False, "properties": properties}


def _resource(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    head = {"apiVersion": {"const": "keda.sh/v1alpha1"}, "kind": {"const": kind}}
    return _closed(["apiVersion", "kind", "metadata", "spec"], **head, metadata=_METADATA, spec=spec)


# As KEDA 2.17 documents them; numbers and switches in a trigger's metadata are texts.
_TRIGGER = _closed(
    ["protocol", "queueName", "mode", "value"],
    protocol={"enum": ["http"]},
    vhostName={"type": "string"},
    queueName=_NAME,
    mode={"enum": ["QueueLength"]},
    value={"type": "string", "pattern": "^[1-9][0-9]*$"},
    useRegex={"enum": ["true", "false"]},
    operation={"enum": ["sum", "max", "avg"]},
    excludeUnacknowledged={"enum": ["true", "false"]},
)
KEDA = {
    "ScaledObject": _resource(
        "ScaledObject",
        _closed(
            ["scaleTargetRef", "triggers"],
            scaleTargetRef=_closed(["name"], name=_NAME),
            minReplicaCount={"type": "integer", "minimum": 0},
            maxReplicaCount={"type": "integer", "minimum": 1},
            pollingInterval={"type": "integer", "minimum": 1},
            triggers={
                "type": "array",
                "minItems": 1,
                "items": _closed(
                    ["type", "metadata"],
                    type={"const": "rabbitmq"},
                    authenticationRef=_closed(["name"], name=_NAME),
                    metadata=_TRIGGER,
                ),
            },
        ),
    ),
    "TriggerAuthentication": _resource(
        "TriggerAuthentication",
        _closed(
            ["secretTargetRef"],
            secretTargetRef={
                "type": "array",
                "items": _closed(["parameter", "name", "key"], parameter={"const": "host"}, name=_NAME, key=_NAME),
            },
        ),
    ),
}


def standalone() -> list[Manifest]:
    return [each for name in ALONE for each in read(FOLDER / name)]


def everything() -> list[Manifest]:
    return [*(each for name in OVERLAYS for each in overlay(name)), *standalone()]


def secrets() -> dict[str, dict[str, str]]:
    return {name: each["stringData"] for name, each in named(standalone(), "Secret").items()}


def secret_of(pod: Manifest) -> str:
    name: str = next(each["secret"]["secretName"] for each in pod["volumes"] if "secret" in each)
    return name


def variables(pod: Manifest) -> dict[str, str]:
    """The environment of a pod's container."""
    container = pod["containers"][0]
    settings = named(overlay(BASE), "ConfigMap")["settings"]["data"]
    shared: dict[str, str] = settings if container.get("envFrom") else {}
    return {**shared, **{each["name"]: each["value"] for each in container["env"]}}


def compose() -> Manifest:
    services: Manifest = read(ROOT / "docker-compose.yml")[0]["services"]
    return services


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_is_put_together_as_kustomize_does_it(name: str) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not there")
    command = [kubectl, "kustomize", str(FOLDER / "overlays" / name)]
    told = yaml.safe_load_all(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert _by_name(list(told)) == _by_name(overlay(name))


@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_is_valid(version: str) -> None:
    for manifest in everything():
        if not manifest["apiVersion"].startswith("keda.sh"):
            kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_field_that_kubernetes_does_not_know_is_refused(version: str) -> None:
    wrong = named(overlay(BASE), "Deployment")["ledger"]
    wrong["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, version, strict=True)


def test_every_resource_of_keda_has_only_fields_that_it_knows() -> None:
    found = [each for each in overlay("large") if each["apiVersion"].startswith("keda.sh")]
    assert len(found) == len(SERVICES) + 1
    for each in found:
        Draft202012Validator(KEDA[each["kind"]]).validate(each)


def test_every_file_belongs_to_an_overlay_or_is_applied_alone() -> None:
    alone = {(FOLDER / name).resolve() for name in ALONE}
    assert {each.resolve() for each in FOLDER.rglob("*.yaml")} == used_files() | alone


def test_there_is_a_deployment_for_each_service_and_it_runs_that_worker() -> None:
    found = named(overlay(BASE), "Deployment")
    assert found.keys() == set(SERVICES)
    for name, pod in pods(list(found.values())).items():
        assert pod["containers"][0]["args"] == ["run", Which(name)] == compose()[name]["command"]


def test_what_ends_is_started_by_the_commands_that_docker_compose_gives() -> None:
    for name in ("migrate", "roles"):
        assert pods(everything())[name]["containers"][0]["args"] == compose()[name]["command"]


@pytest.mark.parametrize("service", SERVICES)
def test_a_worker_is_told_what_docker_compose_tells_it(service: str) -> None:
    told = {name.removesuffix("_FILE") for name in variables(pods(overlay(BASE))[service])}
    assert told - {"STOCKBOOK_BROKER_CA"} >= compose()[service]["environment"].keys()


@pytest.mark.parametrize("name", [*SERVICES, "migrate", "desk", "roles"])
def test_the_settings_read_each_variable_and_each_file_of_a_pod(name: str, tmp_path: Path) -> None:
    pod = pods(everything())[name]
    environment = Asked(_with_files(variables(pod), secrets()[secret_of(pod)], tmp_path))
    settings = Settings.from_environment(environment)
    assert settings.database_url
    passwords = {f"STOCKBOOK_POSTGRES_{role.short.upper()}_PASSWORD_FILE" for role in ROLES if role.logs_in}
    assert environment.given.keys() - environment.asked == (passwords if name == "roles" else set())
    if name in SERVICES:
        assert settings.http_port == pod["containers"][0]["ports"][0]["containerPort"]
        assert settings.http_host == "0.0.0.0"


@pytest.mark.parametrize("name", [*SERVICES, "desk"])
def test_each_pod_has_a_role_and_an_account_of_its_own(name: str) -> None:
    secret = secrets()[secret_of(pods(everything())[name])]
    role, account = urlsplit(secret["database-url"]).username, urlsplit(secret["broker-url"]).username
    assert role == f"stockbook_{name}"
    assert role in {each.name for each in ROLES}
    assert account == f"stockbook-{name}"
    assert account in {each.name for each in ACCOUNTS}


def test_only_the_migration_has_the_owner_and_nobody_has_anothers_secret() -> None:
    having = {name: secret_of(pod) for name, pod in pods(everything()).items()}
    assert len(set(having.values())) == len(having)
    assert urlsplit(secrets()[having["migrate"]]["database-url"]).username == OWNER.name
    assert {name for name, secret in secrets().items() if OWNER.name in str(secret)} == {having["migrate"]}


def test_each_address_names_files_that_its_pod_has_and_checks_the_servers_name() -> None:
    for secret in secrets().values():
        for key in secret.keys() & {"database-url", "broker-url"}:
            told = parse_qs(urlsplit(secret[key]).query)
            if key == "database-url":
                assert told == {"sslmode": ["verify-full"], "sslrootcert": [f"{SECRETS}/ca.crt"]}
            else:
                assert secret[key].startswith("amqps://")
            assert "ca.crt" in secret


def test_pods_reach_the_ports_of_both_servers_and_names_and_are_reached_where_metrics_are_told() -> None:
    policy = named(overlay(BASE), "NetworkPolicy")["stockbook"]["spec"]
    told = {urlsplit(value).scheme for each in secrets().values() for value in each.values() if "://" in value}
    assert told - {"https"} == PORTS.keys()
    assert _ports(policy["egress"]) == {DNS, *PORTS.values()}
    assert _ports(policy["ingress"]) == {int(variables(pods(overlay(BASE))["ledger"])["STOCKBOOK_HTTP_PORT"])}
    labels = [each["spec"]["template"]["metadata"]["labels"] for each in named(everything(), "Deployment").values()]
    labels += [each["spec"]["template"]["metadata"]["labels"] for each in named(everything(), "Job").values()]
    labels += [named(everything(), "Pod")["desk"]["metadata"]["labels"]]
    assert all(policy["podSelector"]["matchLabels"].items() <= each.items() for each in labels)


@pytest.mark.parametrize("service", SERVICES)
def test_what_selects_a_services_pods_selects_no_others(service: str) -> None:
    manifests = overlay("large")
    workers = {name: each["spec"] for name, each in named(manifests, "Deployment").items()}
    selectors = [
        workers[service]["selector"]["matchLabels"],
        named(manifests, "PodDisruptionBudget")[service]["spec"]["selector"]["matchLabels"],
        named(manifests, "Service")[service]["spec"]["selector"],
    ]
    for selector in selectors:
        labels = {name: each["template"]["metadata"]["labels"] for name, each in workers.items()}
        assert [name for name, each in labels.items() if selector.items() <= each.items()] == [service]


def test_probes_ask_pages_that_a_worker_has() -> None:
    asked = {
        pod["containers"][0][probe]["httpGet"]["path"]
        for name, pod in pods(overlay(BASE)).items()
        if name in SERVICES
        for probe in ("livenessProbe", "readinessProbe")
    }
    with listening(Metrics(), Settings(http_port=free_port())) as port:
        assert {path: _status(port, path) for path in {*asked, "/nothing"}} == {
            "/healthz": 200,
            "/readyz": 200,
            "/nothing": 404,
        }


@pytest.mark.parametrize("service", SERVICES)
def test_workers_are_as_many_as_their_own_queues_ask_for(service: str) -> None:
    topology = with_lanes(["till-1", "import"])
    scaled = named(overlay("large"), "ScaledObject")[service]["spec"]
    assert scaled["scaleTargetRef"]["name"] == service
    assert 0 < scaled["minReplicaCount"] < scaled["maxReplicaCount"]
    [trigger] = [each["metadata"] for each in scaled["triggers"]]
    pattern = trigger["queueName"] if trigger.get("useRegex") == "true" else f"^{re.escape(trigger['queueName'])}$"
    counted = {queue.name for queue in topology.queues if re.search(pattern, queue.name)}
    assert counted == set(queues_with(topology, service))


def test_keda_reads_a_secret_that_is_there() -> None:
    [reference] = named(overlay("large"), "TriggerAuthentication")["broker"]["spec"]["secretTargetRef"]
    assert reference["key"] in secrets()[reference["name"]]
    assert urlsplit(secrets()[reference["name"]][reference["key"]]).scheme == "https"


@pytest.mark.parametrize("name", [*SERVICES, "migrate", "desk", "roles"])
def test_a_pod_is_the_images_user_and_has_no_right_that_it_does_not_need(name: str) -> None:
    pod = pods(everything())[name]
    user = re.search(r"^USER (\d+)$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert user
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == int(user[1])
    assert pod["automountServiceAccountToken"] is False
    assert pod["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize("service", SERVICES)
def test_a_worker_that_is_stopped_has_the_time_that_docker_compose_gives_it(service: str) -> None:
    seconds = pods(overlay(BASE))[service]["terminationGracePeriodSeconds"]
    assert compose()[service]["stop_grace_period"] == f"{seconds}s"


@pytest.mark.parametrize("name", OVERLAYS)
def test_a_worker_is_given_the_memory_that_it_was_measured_to_take(name: str) -> None:
    measured = json.loads((ROOT / "benchmarks/results/latest.json").read_text("utf-8"))["P1b"]["memory_mib"]
    for service, peak in measured.items():
        resources = pods(overlay(name))[service]["containers"][0]["resources"]
        assert peak < _mebibytes(resources["requests"]["memory"]) <= _mebibytes(resources["limits"]["memory"])


class Asked(Mapping[str, str]):
    """An environment that remembers which variables it was asked for."""

    def __init__(self, given: dict[str, str]) -> None:
        self.given = given
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return self.given[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.given)

    def __len__(self) -> int:
        return len(self.given)


def _by_name(manifests: list[Manifest]) -> dict[tuple[str, str], Manifest]:
    return {(each["kind"], each["metadata"]["name"]): each for each in manifests}


def _with_files(environment: dict[str, str], secret: dict[str, str], folder: Path) -> dict[str, str]:
    """The environment as it would be in a pod, its secret's files in `folder`."""
    for key, text in secret.items():
        (folder / key).write_text(text, "utf-8")
    return {name: value.replace(SECRETS, str(folder)) for name, value in environment.items()}


def _ports(rules: list[Manifest]) -> set[int]:
    return {each["port"] for rule in rules for each in rule["ports"]}


def _status(port: int | None, path: str) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", path)
    return connection.getresponse().status


def _mebibytes(text: str) -> int:
    assert text.endswith("Mi")
    return int(text.removesuffix("Mi"))
