"""A rule that cannot fail is worth nothing: each finds the mistake that is made for it."""

import copy

import pytest

from deploy.local.gateway import MAX_BODY_BYTES, TRACING
from tests.deploy.kubernetes import rendered
from tests.deploy.kubernetes.test_rules import RULES
from tests.deploy.kubernetes.world import World, without_hash


def _pod(world, name="identity-api"):
    return world.named("Deployment")[name]["spec"]["template"]["spec"]


def _container(world, name="identity-api"):
    return _pod(world, name)["containers"][0]


def _policy(world, name):
    return world.named("NetworkPolicy")[name]["spec"]


def _job(world):
    return world.named("Job")["privacy-expand-0-1-0"]


def _rule(world, route, name):
    rules = world.named("HTTPRoute")[route]["spec"]["rules"]
    return next(rule for rule in rules if rule["name"] == name)


def _secret_item(world):
    return _pod(world)["volumes"][0]["projected"]["sources"][0]["secret"]


def _scaled(world):
    return world.named("ScaledObject")["privacy-worker"]["spec"]


def _cron(world):
    return world.named("CronJob")["verify-ledger"]["spec"]


def _env(world):
    job = world.named("CronJob")["doctor"]["spec"]["jobTemplate"]["spec"]["template"]
    return job["spec"]["containers"][0]["env"]


def _told(world, name):
    """What the ConfigMap of that name says."""
    maps = world.named("ConfigMap")
    return next(one["data"] for full, one in maps.items() if without_hash(full) == name)


def _a_config_map(world):
    return world.of("ConfigMap")[0]


def _without(kind, name):
    return lambda w: w.documents.remove(w.named(kind)[name])


MISTAKES = {
    "pod_security_is_restricted": [
        lambda w: _pod(w)["securityContext"].pop("runAsNonRoot"),
        lambda w: _pod(w)["securityContext"].pop("seccompProfile"),
        lambda w: _pod(w).update(hostNetwork=True),
        lambda w: _pod(w)["volumes"].append({"name": "x", "hostPath": {"path": "/"}}),
        lambda w: _container(w)["securityContext"].pop("allowPrivilegeEscalation"),
        lambda w: _container(w)["securityContext"].update(capabilities={"drop": []}),
        lambda w: _container(w)["securityContext"].update(readOnlyRootFilesystem=False),
    ],
    "namespace_enforces_restricted": [
        lambda w: w.of("Namespace")[0]["metadata"]["labels"].clear(),
        lambda w: w.of("Service")[0]["metadata"].pop("namespace"),
    ],
    "nobody_gets_a_token": [
        lambda w: _pod(w).pop("automountServiceAccountToken"),
        lambda w: _pod(w).update(serviceAccountName="default"),
        lambda w: w.of("ServiceAccount")[0].pop("automountServiceAccountToken"),
    ],
    "images_bear_the_version": [
        lambda w: _container(w).update(image="registry.example.org/ccib/ccib-identity:latest"),
        lambda w: _container(w).update(image="ccib-identity"),
        lambda w: w.named("Deployment")["identity-api"]["spec"]["template"]["metadata"][
            "labels"
        ].pop("app.kubernetes.io/part-of"),
        lambda w: _container(w).update(image="ccib-privacy:0.1.0"),
        lambda w: w.of("Cluster")[0]["spec"].pop("imageName"),
    ],
    "resources_are_bounded": [
        lambda w: _container(w)["resources"].pop("limits"),
        lambda w: _container(w)["resources"]["requests"].pop("cpu"),
        lambda w: w.of("RabbitmqCluster")[0]["spec"].pop("resources"),
        lambda w: _pod(w)["volumes"][-3].update(emptyDir={}),
    ],
    "probes_ask_three_questions": [
        lambda w: _container(w).pop("startupProbe"),
        lambda w: _container(w)["livenessProbe"]["httpGet"].update(path="/health/ready"),
        lambda w: _container(w)["readinessProbe"]["httpGet"].update(port="http"),
        lambda w: _container(w, "identity-worker")["ports"].clear(),
    ],
    "there_is_time_to_drain": [
        lambda w: _pod(w).update(terminationGracePeriodSeconds=40),
        lambda w: _container(w).pop("lifecycle"),
        lambda w: _pod(w, "privacy-worker").update(terminationGracePeriodSeconds=10),
    ],
    "replicas_are_spread": [
        lambda w: _pod(w)["topologySpreadConstraints"].pop(),
        lambda w: _pod(w)["topologySpreadConstraints"][0].update(
            labelSelector={"matchLabels": {"app.kubernetes.io/name": "privacy"}}
        ),
    ],
    "volumes_and_mounts_agree": [
        lambda w: _pod(w)["volumes"].pop(),
        lambda w: _container(w)["volumeMounts"].pop(),
    ],
    "secrets_exist": [
        lambda w: _secret_item(w).update(name="identity-key"),
        lambda w: _secret_item(w)["items"][0].update(key="evidence.key"),
    ],
    "configuration_exists_and_is_immutable": [
        lambda w: w.documents.remove(_a_config_map(w)),
        lambda w: _a_config_map(w).update(immutable=False),
    ],
    "clock_work_is_bounded": [
        lambda w: _cron(w).update(concurrencyPolicy="Allow"),
        lambda w: _cron(w).pop("timeZone"),
        lambda w: _cron(w).pop("startingDeadlineSeconds"),
        lambda w: _cron(w)["jobTemplate"]["spec"].pop("activeDeadlineSeconds"),
        lambda w: _cron(w)["jobTemplate"]["spec"]["template"]["spec"]["containers"][0].update(
            command=["python", "-m", "cli.main", "sweep"]
        ),
    ],
    "jobs_belong_to_a_release": [
        lambda w: _job(w)["metadata"].update(name="privacy-expand"),
        lambda w: _job(w)["spec"].pop("activeDeadlineSeconds"),
        lambda w: _job(w)["spec"]["template"]["spec"]["containers"][0]["env"][0].update(
            value="postgresql://ccib_privacy@pooler:5432/ccib_privacy"
        ),
        lambda w: _job(w)["spec"]["template"]["spec"]["containers"][0]["command"].__setitem__(
            3, "contract"
        ),
    ],
    "services_lead_to_pods": [
        lambda w: w.named("Service")["identity"]["spec"]["selector"].pop(
            "app.kubernetes.io/component"
        ),
        lambda w: w.named("Service")["identity"]["spec"]["ports"][0].update(targetPort="web"),
        lambda w: w.named("Deployment")["web"]["spec"]["selector"]["matchLabels"].update(
            {"app.kubernetes.io/version": "0.1.0"}
        ),
    ],
    "a_node_can_be_drained": [
        lambda w: w.named("PodDisruptionBudget")["web"]["spec"].update(minAvailable=1),
        lambda w: w.named("PodDisruptionBudget")["web"]["spec"].update(maxUnavailable=0),
        _without("PodDisruptionBudget", "privacy-worker"),
    ],
    "one_scaler_owns_the_number": [
        lambda w: w.named("Deployment")["identity-api"]["spec"].update(replicas=2),
        lambda w: _scaled(w)["scaleTargetRef"].update(name="privacy-api"),
        _without("ScaledObject", "privacy-worker"),
    ],
    "erasures_are_the_reason_to_scale": [
        lambda w: _scaled(w)["triggers"][0]["metadata"].update(queueName="privacy.events"),
        lambda w: _scaled(w)["triggers"][0]["metadata"].update(protocol="amqp"),
        lambda w: _scaled(w)["triggers"][0]["authenticationRef"].update(name="nobody"),
    ],
    "routes_lead_to_services": [
        lambda w: _rule(w, "people", "privacy")["backendRefs"][0].update(port=80),
        lambda w: _rule(w, "people", "privacy").pop("timeouts"),
        lambda w: w.named("HTTPRoute")["site"]["spec"]["parentRefs"][0].update(sectionName="x"),
        _without("Middleware", "rate-limit"),
    ],
    "the_inside_stays_inside": [
        lambda w: _rule(w, "people", "identity")["matches"][0]["path"].update(value="/"),
        lambda w: _rule(w, "people", "inside")["matches"].pop(),
        lambda w: _rule(w, "site", "privacy")["backendRefs"][0].update(name="web"),
    ],
    "doors_are_guarded": [
        lambda w: _rule(w, "people", "directory")["filters"].pop(),
        lambda w: _rule(w, "people", "site")["filters"].pop(),
        lambda w: _rule(w, "people", "site")["filters"].pop(0),
        lambda w: _rule(w, "people", "site")["filters"].pop(1),
        lambda w: _rule(w, "people", "directory")["filters"].pop(2),
        lambda w: _rule(w, "site", "privacy")["filters"].append(
            {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": [*TRACING]}}
        ),
        lambda w: w.named("Middleware")["body-limit"]["spec"]["buffering"].update(
            maxRequestBodyBytes=MAX_BODY_BYTES + 1
        ),
    ],
    "everything_is_denied_first": [
        _without("NetworkPolicy", "default-deny"),
        lambda w: _policy(w, "default-deny").update(policyTypes=["Ingress"]),
        lambda w: _policy(w, "identity")["egress"][0].pop("to"),
        lambda w: _policy(w, "identity")["egress"][0].pop("ports"),
    ],
    "policies_select_somebody": [
        lambda w: _policy(w, "identity")["podSelector"].update(matchLabels={"app": "identity"}),
        lambda w: _policy(w, "identity")["egress"][0]["to"][0]["podSelector"].update(
            matchLabels={"cnpg.io/cluster": "postgresql"}
        ),
        lambda w: _policy(w, "web")["ingress"][0]["from"][0]["namespaceSelector"].update(
            matchLabels={"kubernetes.io/metadata.name": "ingress"}
        ),
    ],
    "who_may_call_is_answered": [
        lambda w: _policy(w, "directory-api")["ingress"][0]["from"].pop(),
        lambda w: _policy(w, "directory")["egress"].pop(2),
        _without("NetworkPolicy", "checks-to-api"),
    ],
    "every_door_has_a_policy": [
        _without("NetworkPolicy", "migrations"),
        _without("NetworkPolicy", "web"),
    ],
}
MISTAKES |= {
    "addresses_lead_to_somebody": [
        lambda w: _told(w, "services").update(CCIB_IDENTITY_URL="http://identity:80"),
        lambda w: _told(w, "privacy").update(CCIB_SERVICE_URLS='{"x": "http://x:8080"}'),
        lambda w: _told(w, "privacy").update(CCIB_DATABASE_URL="postgresql://x@db:5432/x"),
    ],
    "a_service_logs_in_as_itself": [
        lambda w: _told(w, "directory").update(
            CCIB_DATABASE_URL="postgresql://ccib_privacy@postgres-rw:5432/ccib_directory"
        ),
        lambda w: _told(w, "directory").update(
            CCIB_AMQP_URL="amqps://directory:word@rabbitmq:5671/ccib"
        ),
        lambda w: _told(w, "privacy").update(
            CCIB_BROKER_ADMIN_URL="https://privacy@rabbitmq:15671/ccib"
        ),
    ],
    "tls_is_all_or_nothing": [
        lambda w: _told(w, "services").pop("CCIB_AMQP_CA_FILE"),
        lambda w: _told(w, "identity").update(CCIB_AMQP_URL="amqp://identity@rabbitmq:5671/ccib"),
        lambda w: w.of("RabbitmqCluster")[0]["spec"].pop("tls"),
        lambda w: next(v for v in _env(w) if "BROKER_ADMIN" in v["name"]).update(
            value="https://x:y@rabbitmq:15672/ccib"
        ),
        lambda w: _container(w)["volumeMounts"].__delitem__(slice(-2, None)),
    ],
    "variables_are_declared_before_they_are_named": [
        lambda w: _env(w).pop(0),
        lambda w: _env(w).reverse(),
    ],
    "the_address_is_one": [
        lambda w: _told(w, "services").update(CCIB_ISSUER="https://other.example.org"),
        lambda w: w.of("Gateway")[0]["spec"]["listeners"][1].update(hostname="other.example.org"),
    ],
    "backups_live_as_long_as_people_are_told": [
        lambda w: _told(w, "privacy").update(CCIB_BACKUP_DAYS="30"),
        lambda w: w.of("ObjectStore")[0]["spec"].update(retentionPolicy="5w"),
    ],
}


def test_there_is_a_mistake_for_every_rule():
    assert set(MISTAKES) == {rule.__name__ for rule in RULES}


@pytest.fixture(scope="module")
def production():
    return rendered.overlay("production")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_rule_finds_its_mistakes(rule, production):
    assert not list(rule(World(production)))
    for number, mistake in enumerate(MISTAKES[rule.__name__]):
        broken = World(copy.deepcopy(production))
        mistake(broken)
        assert list(rule(broken)), f"mistake {number} is not found"
