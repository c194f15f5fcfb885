"""Deploys the real template with the real functions into MiniStack, and drives it from two simulated sites.

Called by tests/stack/run, which builds everything. Exit: 0 all held, 1 something did not.
"""

import argparse
import contextlib
import hashlib
import hmac
import io
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from urllib.parse import urlencode

import boto3
import botocore.config
import botocore.exceptions

ROOT = pathlib.Path(__file__).resolve().parents[2]
STACK = "tandem-test"
FUNCTIONS = ["webhook", "worker", "reconcile", "rotate"]
REGION = "eu-central-1"
DAY = "2026-03-02"

# What MiniStack cannot show, and where it is shown instead.
BEYOND = [
    "rotation schedules: it knows no such resource; tests/it/template.rs reads them",
    "Secrets Manager's own calls of rotate, and the refresh in its first step: crates/functions-test, rotate",
    "IAM: every call is allowed; crates/functions-test holds the template's permissions to the calls that are made",
    "waiting for the sweep's five minutes and for the night: both are fired once by the Scheduler, through their targets",
    "routing by host name: the addresses of the outputs are turned into MiniStack's paths",
    "alarms and dashboard: they are deployed, nothing evaluates them; tests/it/template.rs holds them to the metrics",
    "arm64: the functions are built for this machine",
]


class Failed(Exception):
    """Something that must hold does not."""


def say(text):
    print(text, flush=True)


def check(holds, what, seen=None):
    if not holds:
        raise Failed(what if seen is None else f"{what}; seen: {seen}")
    say(f"  ok: {what}")


def wait(what, seconds, probe):
    """Waits until a probe returns something true, and returns that."""
    end = time.monotonic() + seconds
    seen = None
    while time.monotonic() < end:
        seen = probe()
        if seen:
            return seen
        time.sleep(0.2)
    raise Failed(f"{what}: not within {seconds} s; last seen: {seen!r}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def request(method, url, body=None, headers=None):
    """Returns status and body; an error status is an answer like any other."""
    asked = urllib.request.Request(url, data=body, headers=headers or {}, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


class Processes:
    """What was started here, and is ended here whatever happens."""

    def __init__(self, log):
        self.log = log
        self.running = []

    def start(self, name, command, **more):
        output = open(self.log / f"{name}.log", "w")
        process = subprocess.Popen(command, stderr=output, start_new_session=True, **more)
        self.running.append(process)
        return process

    def stop(self):
        for process in reversed(self.running):
            # The functions are children of MiniStack, in its group.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                pass
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


class Cloud:
    """MiniStack, and the clients to ask it."""

    def __init__(self, processes, work):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.variables = {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.url,
            # The only thing that functions and commands find here and not on AWS: the sites are on this machine.
            "TANDEM_ALLOW_LOOPBACK": "1",
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TANDEM_"))}
        environment = {
            **inherited,
            **self.variables,
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(self.port),
            "MINISTACK_REGION": REGION,
            "LAMBDA_EXECUTOR": "local",
            "TMPDIR": str(work),
        }
        self.environment = {**inherited, **self.variables}
        command = [str(pathlib.Path(sys.executable).with_name("ministack"))]
        self.process = processes.start("ministack", command, env=environment, stdout=subprocess.DEVNULL, cwd=work)
        wait("MiniStack listens", 60, self.answers)

    def answers(self):
        if self.process.poll() is not None:
            raise Failed("MiniStack ended by itself; its log says why")
        try:
            return request("GET", f"{self.url}/_ministack/health")[0] == 200
        except OSError:
            return False

    def client(self, service):
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=botocore.config.Config(read_timeout=120, retries={"total_max_attempts": 1}),
        )


def packaged(cloud, functions):
    """Does what `sam package` does: puts code and inner templates into a bucket and names them in the template."""
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="artifacts", CreateBucketConfiguration={"LocationConstraint": REGION})
    template = (ROOT / "template.yaml").read_text()
    for name in FUNCTIONS:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as files:
            entry = zipfile.ZipInfo("bootstrap")
            entry.external_attr = 0o755 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            files.writestr(entry, (functions / name).read_bytes())
        s3.put_object(Bucket="artifacts", Key=f"{name}.zip", Body=archive.getvalue())
        template, found = re.subn(rf"CodeUri: functions/{name}\b", f"CodeUri: s3://artifacts/{name}.zip", template)
        check(found == 1, f"{name} is in the template once, {archive.tell() / 1e6:.1f} MB zipped")
    for name in ["stateful", "observability"]:
        s3.put_object(Bucket="artifacts", Key=f"{name}.yaml", Body=(ROOT / f"infra/{name}.yaml").read_bytes())
        template = template.replace(
            f"TemplateURL: infra/{name}.yaml", f"TemplateURL: {cloud.url}/artifacts/{name}.yaml"
        )
    s3.put_object(Bucket="artifacts", Key="template.yaml", Body=template.encode())


def brought_up(cloud, change, wanted, **more):
    """Creates or updates the stack with these parameters beside those of the test, and returns what is told of it then."""
    formation = cloud.client("cloudformation")
    parameters = {"SiteA": "acme", "SiteB": "globex", "Architecture": "x86_64", "LogLevel": "debug", **more}
    getattr(formation, change)(
        StackName=STACK,
        TemplateURL=f"{cloud.url}/artifacts/template.yaml",
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items() if value],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )

    def over():
        stack = formation.describe_stacks(StackName=STACK)["Stacks"][0]
        return None if stack["StackStatus"].endswith("IN_PROGRESS") else stack

    stack = wait(f"{change} is over", 180, over)
    if stack["StackStatus"] != wanted:
        events = formation.describe_stack_events(StackName=STACK)["StackEvents"]
        bad = [(e["LogicalResourceId"], e.get("ResourceStatusReason")) for e in events if "FAILED" in e["ResourceStatus"]]
        raise Failed(f"{stack['StackStatus']}: {bad}")
    return stack


def refused(cloud, wrong, named):
    """Checks that a deployment with these parameters names what is wrong, and leaves nothing."""
    told = "nothing"
    try:
        brought_up(cloud, "create_stack", "CREATE_COMPLETE", **wrong)
    except (botocore.exceptions.ClientError, Failed) as problem:
        told = str(problem)
    check(named in told, f"a deployment with {wrong} is refused by name", told)
    check(cloud.client("cloudformation").list_stacks()["StackSummaries"] == [], "and no stack is left")


def outputs(stack):
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def deployed(cloud, functions):
    """Creates the stack and returns its outputs."""
    packaged(cloud, functions)
    for wrong, named in [({"SiteB": None}, "SiteB"), ({"SiteB": "no such/name"}, "SiteB"), ({"SiteB": "acme"}, "two sites")]:
        refused(cloud, wrong, named)
    stack = brought_up(cloud, "create_stack", "CREATE_COMPLETE")
    resources = cloud.client("cloudformation").describe_stack_resources(StackName=STACK)["StackResources"]
    check(True, f"the template is deployed: {len(resources)} resources and two stacks inside")
    return outputs(stack)


class Sites:
    """The simulated sites, as the people on them see them."""

    def __init__(self, processes, binary):
        self.process = processes.start("sites", [str(binary)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.told = json.loads(self.process.stdout.readline())

    def tell(self, told):
        """Whether those that have webhooks hear of changes from now on."""
        self.process.stdin.write(json.dumps({"told": told}) + "\n")
        self.process.stdin.flush()
        self.process.stdout.readline()

    def ask(self, method, path, body=None):
        status, answer = request(method, self.told["control"] + path, body and json.dumps(body).encode())
        if status != 200:
            raise Failed(f"{path}: {status} {answer[:200]}")
        return json.loads(answer)

    def log(self, site, issue, seconds, text):
        body = {"issue": issue, "author": "ann", "date": DAY, "time": "13:30:00", "seconds": seconds, "description": text}
        return self.ask("POST", f"/sites/{site}/log", body)["id"]

    def edit(self, site, worklog, **fields):
        self.ask("POST", f"/sites/{site}/worklogs/{worklog}/edit", fields)

    def delete(self, site, worklog):
        self.ask("POST", f"/sites/{site}/worklogs/{worklog}/delete", {})

    def said(self, site, issue):
        """What the worklogs on an issue say: seconds, text and wall clock, in order."""
        worklogs = self.ask("GET", "/state")["sites"][site]["worklogs"]
        return sorted(
            (w["time_spent_secs"], w["description"], w["start_time"]) for w in worklogs if w["issueKey"] == issue
        )


class Deployment:
    """The deployed stack, and what is asked of it."""

    def __init__(self, cloud, outputs, tandem, folder):
        self.cloud = cloud
        self.table = outputs["Table"]
        self.secrets = {"acme": outputs["SecretSiteA"], "globex": outputs["SecretSiteB"]}
        # MiniStack's way to an HTTP API for clients that cannot choose their host.
        api = re.match(r"https?://([a-z0-9]+)\.", outputs["PublicUrl"]).group(1)
        self.base = f"{cloud.url}/_aws/execute-api/{api}/$default"
        self.tandem_binary = tandem
        self.folder = folder

    def tandem(self, *arguments, stderr=subprocess.STDOUT):
        """Runs a command on the deployed table; returns exit code and all that it wrote."""
        command = [str(self.tandem_binary), "--config", "tandem.toml", "--table", self.table, *arguments]
        ran = subprocess.run(
            command,
            cwd=self.folder,
            env=self.cloud.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            timeout=120,
        )
        return ran.returncode, ran.stdout

    def secret(self, site):
        """What a site's secret holds now."""
        manager = self.cloud.client("secretsmanager")
        return json.loads(manager.get_secret_value(SecretId=self.secrets[site])["SecretString"])

    def rows(self, beginning=""):
        """The keys of the table's rows."""
        pages = self.cloud.client("dynamodb").get_paginator("scan").paginate(TableName=self.table)
        keys = [item["pk"]["S"] for page in pages for item in page["Items"]]
        return [key for key in keys if key.startswith(beginning)]

    def log(self, function):
        """All that a function has written so far."""
        pages = self.cloud.client("logs").get_paginator("filter_log_events")
        pages = pages.paginate(logGroupName=f"/aws/lambda/{STACK}-{function}")
        return "\n".join(event["message"] for page in pages for event in page["events"])

    def scheduled(self, name):
        """Has a schedule's target run with the schedule's own input, and returns its answer."""
        schedule = self.cloud.client("scheduler").get_schedule(GroupName=STACK, Name=f"{STACK}-{name}")
        target = schedule["Target"]
        answer = self.cloud.client("lambda").invoke(FunctionName=target["Arn"], Payload=target["Input"].encode())
        payload = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            raise Failed(f"the schedule {name}: {payload}")
        return payload

    def metrics(self):
        """The names of the metrics that the functions have written so far."""
        log = "\n".join(self.log(function) for function in FUNCTIONS)
        lines = [json.loads(line) for line in log.splitlines() if '"_aws"' in line]
        return {metric["Name"] for line in lines for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]}

    def fire(self, name):
        """Has the Scheduler fire a schedule's target once, as soon as it looks, with all that the schedule says of it."""
        scheduler = self.cloud.client("scheduler")
        schedule = scheduler.get_schedule(GroupName=STACK, Name=f"{STACK}-{name}")
        scheduler.create_schedule(
            GroupName=STACK,
            Name=f"{STACK}-{name}-once",
            ScheduleExpression=time.strftime("at(%Y-%m-%dT%H:%M:%S)", time.gmtime()),
            FlexibleTimeWindow={"Mode": "OFF"},
            Target=schedule["Target"],
            ActionAfterCompletion="DELETE",
        )

    def stream(self, enabled):
        """Turns the stream's mapping off or on, and waits until nothing that it had read is still on its way."""
        functions = self.cloud.client("lambda")
        [mapping] = functions.list_event_source_mappings(FunctionName=f"{STACK}-worker")["EventSourceMappings"]
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=enabled)
        wanted = "Enabled" if enabled else "Disabled"
        state = lambda: functions.get_event_source_mapping(UUID=mapping["UUID"])["State"]
        wait(f"the stream's mapping is {wanted}", 30, lambda: state() == wanted)
        time.sleep(2)

    def last_audit(self):
        """When the connection was last audited, as `status` says."""
        _, told = self.tandem("status", "--json", stderr=subprocess.DEVNULL)
        return json.loads(told)["connections"][0]["last_audit"]


def configuration(told, globex_secret):
    """What an operator writes into tandem.toml."""
    return f"""
[engine]
settle = "200ms"
create_grace = "2s"

[sites.acme]
jira = "{told['jira']['acme']}"
tempo = "{told['tempo']}"
secret = "aws:tandem/acme"

[sites.globex]
jira = "{told['jira']['globex']}"
tempo = "{told['tempo']}"
secret = "aws:{globex_secret}"

[[connections]]
name = "acme-globex"
a = "acme"
b = "globex"
since = "2026-01-01"

[connections.links]
table = [["SUP-1", "DEV-1"]]
"""


def signed(secret, body):
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def before_there_is_a_configuration(stack, sites):
    say("--- before there is a configuration")
    secret = "a secret of Jira's"
    body = b'{"webhookEvent": "worklog_created", "worklog": {"id": "1", "issueId": "1"}}'
    headers = {"Content-Type": "application/json", "X-Hub-Signature": signed(secret, body)}
    status, _ = request("POST", f"{stack.base}/hooks/jira/acme", body, headers)
    check(status == 503, "a webhook is answered 503, so that its sender comes again", status)
    named = "no configuration is published yet: run `tandem publish`"
    wait("the log names the cause and the next step", 20, lambda: named in stack.log("webhook"))
    answer = stack.scheduled("sweep")
    check("tandem publish" in answer.get("waits_for", ""), "a scheduled pass says what it waits for", answer)
    check(stack.rows() == [], "nothing is half done: the table is empty", stack.rows())


def set_up(stack, sites):
    say("--- secrets and configuration, with the real commands")
    for site, secret in sites.told["secrets"].items():
        (stack.folder / f"{site}.json").write_text(json.dumps(secret))
    text = configuration(sites.told, stack.secrets["globex"])
    (stack.folder / "tandem.toml").write_text(text)
    short = {key: value for key, value in sites.told["secrets"]["acme"].items() if key != "jira_token"}
    (stack.folder / "short.json").write_text(json.dumps(short))
    code, told = stack.tandem("secrets", "put", "acme", "--file", "short.json")
    check(code != 0 and "jira_token" in told, "a secret that lacks a field is refused by that field's name", told)
    for site in sites.told["secrets"]:
        code, told = stack.tandem("secrets", "put", site, "--file", f"{site}.json")
        check(code == 0, f"the secret of {site} is stored", told)

    (stack.folder / "tandem.toml").write_text(text.replace('settle = "200ms"', 'settel = "200ms"'))
    code, told = stack.tandem("publish")
    check(code == 2 and "settle" in told, "a configuration with a mistake is refused, with what would be right", told)
    check(stack.rows() == [], "and nothing of it is stored", stack.rows())
    (stack.folder / "tandem.toml").write_text(text)
    code, told = stack.tandem("publish")
    check(code == 0, "the configuration is published", told)


def connected(stack):
    say("--- webhooks, with the real command")
    code, told = stack.tandem("connect", "--url", stack.base)
    check(code == 0, "webhooks are registered on both sites, and the endpoint knows their secrets", told)
    code, told = stack.tandem("connect", "--url", stack.base, "--json", stderr=subprocess.DEVNULL)
    did = [report[vendor]["did"] for report in json.loads(told) for vendor in ("jira", "tempo")]
    check(did == ["nothing"] * 4, "and a second time there is nothing to do", told)
    # Webhook secrets are among what must not be in a log.
    check(all(len(stack.secret(site)["tempo_webhook_secrets"]) == 3 for site in stack.secrets), "secrets are kept")


def disconnected(stack):
    say("--- webhooks, removed")
    code, told = stack.tandem("connect", "--url", stack.base, "--remove")
    check(code == 0, "the webhooks are removed", told)
    code, told = stack.tandem("connect", "--url", stack.base, "--list", "--json", stderr=subprocess.DEVNULL)
    check(code == 0 and json.loads(told) == [], "and neither site knows one", told)


def changes_cross(stack, sites):
    say("--- webhook, HTTP API, table, stream, worker, the other site")
    # Makes the link, and looks at the connection for the first time.
    stack.scheduled("sweep")

    def becomes(site, issue, what, said):
        wait(what, 60, lambda: sites.said(site, issue) == said)
        check(True, what)

    id = sites.log("acme", "SUP-1", 3600, "one")
    becomes("globex", "DEV-1", "a new worklog crosses", [(3600, "one", "13:30:00")])
    sites.edit("acme", id, seconds=1800, description="less")
    becomes("globex", "DEV-1", "an edit crosses", [(1800, "less", "13:30:00")])
    back = sites.log("globex", "DEV-1", 600, "back")
    becomes("acme", "SUP-1", "a worklog of the other site crosses", [(600, "back", "13:30:00"), (1800, "less", "13:30:00")])
    sites.delete("acme", id)
    becomes("globex", "DEV-1", "a delete crosses", [(600, "back", "13:30:00")])
    check("Wrote " in stack.log("worker"), "it was the worker that wrote")
    return back


def rests(stack, sites):
    """Whether for two seconds no webhook is on its way and no link is due."""
    for _ in range(5):
        if sites.ask("GET", "/state")["deliveriesPending"] or stack.rows("DUE#LINK#"):
            return False
        time.sleep(0.4)
    return True


def what_no_webhook_tells(stack, sites, back):
    say("--- schedules, fired by the Scheduler")
    # A late webhook would have the worker find what the sweep is to find.
    wait("everything comes to rest", 60, lambda: rests(stack, sites))
    sites.tell(False)
    sites.edit("globex", back, seconds=1200)
    sites.log("acme", "SUP-1", 900, "untold")
    before = stack.last_audit()
    stack.fire("sweep")
    both = [(900, "untold", "13:30:00"), (1200, "back", "13:30:00")]
    same = lambda: sites.said("acme", "SUP-1") == sites.said("globex", "DEV-1") == both
    wait("the sweep finds them", 60, same)
    check(True, "the sweep finds changes of both sites that no webhook told of")
    stack.fire("audit")
    wait("the audit has been", 60, lambda: stack.last_audit() not in (None, before))
    check(same(), "the audit reads both sites, and changes nothing where nothing differs")


def what_the_stream_does_not_tell(stack, sites):
    say("--- the minute schedule, by its own clock, while the stream tells nothing")
    wait("everything comes to rest", 60, lambda: rests(stack, sites))
    stream = contextlib.ExitStack()
    stack.stream(False)
    stream.callback(stack.stream, True)
    with stream:
        seen = stack.log("worker")
        sites.tell(True)
        sites.log("acme", "SUP-1", 300, "unstreamed")
        wait("the hint is in the table", 30, lambda: stack.rows("DUE#LINK#"))
        crossed = lambda: any(said[1] == "unstreamed" for said in sites.said("globex", "DEV-1"))
        wait("the schedule finds the row due", 120, crossed)
        wait("its echoes come in", 60, lambda: sites.ask("GET", "/state")["deliveriesPending"] == 0)
        check(stack.log("worker") == seen, "a hint that no record told of is carried out within the minute")
    wanted = {"Received", "Echo", "Synced", "Requests", "LagSeconds", "SweepAgeSeconds", "AuditAgeSeconds"}
    wait("the functions' metrics are in the log", 90, lambda: wanted <= stack.metrics())
    check(True, "metrics are in the log that CloudWatch reads")


def rotated(stack, sites):
    say("--- rotation, as far as MiniStack goes")
    manager = stack.cloud.client("secretsmanager")
    functions = stack.cloud.client("lambda")
    secret = manager.describe_secret(SecretId=stack.secrets["acme"])["ARN"]

    def text(label):
        return json.loads(manager.get_secret_value(SecretId=secret, VersionStage=label)["SecretString"])

    before = text("AWSCURRENT")
    # MiniStack calls no function to rotate, and knows no version that has no text yet. So the refresh itself, which
    # crates/functions-test shows, is done here.
    fields = {
        "grant_type": "refresh_token",
        "client_id": before["tempo_client_id"],
        "client_secret": before["tempo_client_secret"],
        "redirect_uri": before["tempo_redirect_uri"],
        "refresh_token": before["tempo_refresh_token"],
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    status, answer = request("POST", f"{sites.told['tempo']}/oauth/token/", urlencode(fields).encode(), headers)
    pair = json.loads(answer)
    check(status == 200, "Tempo gives a new pair, and the old one has ended", status)
    pending = {**before, "tempo_token": pair["access_token"], "tempo_refresh_token": pair["refresh_token"]}
    version = "0123456789abcdef0123456789abcdef"
    manager.put_secret_value(
        SecretId=secret, ClientRequestToken=version, SecretString=json.dumps(pending), VersionStages=["AWSPENDING"]
    )
    sites.tell(True)
    sites.log("globex", "DEV-1", 60, "during the rotation")
    crossed = lambda text: any(said[1] == text for said in sites.said("acme", "SUP-1"))
    wait("a worker finds the pending token", 60, lambda: crossed("during the rotation"))
    check(True, "a worker whose token is rejected finds the pending one")
    for step in ["createSecret", "setSecret", "testSecret", "finishSecret", "createSecret"]:
        event = {"Step": step, "SecretId": secret, "ClientRequestToken": version}
        answer = functions.invoke(FunctionName=f"{STACK}-rotate", Payload=json.dumps(event).encode())
        told = answer["Payload"].read()
        check("FunctionError" not in answer, f"rotate does {step}", told)
    check(text("AWSCURRENT") == pending, "the pending version is in use")
    sites.log("globex", "DEV-1", 120, "after the rotation")
    wait("work goes on", 60, lambda: crossed("after the rotation"))
    check(True, "work goes on with it")


def deployed_again(stack, sites):
    say("--- deployed again, with a key of one's own")
    cloud = stack.cloud
    before = outputs(cloud.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0])
    rows = sorted(stack.rows("CONFIG"))
    key = cloud.client("kms").create_key()["KeyMetadata"]["Arn"]
    told = brought_up(cloud, "update_stack", "UPDATE_COMPLETE", KmsKeyArn=key)
    check(outputs(told) == before, "addresses, table and secrets are the same ones", outputs(told))
    check(rows and sorted(stack.rows("CONFIG")) == rows, "the table holds what it held", stack.rows("CONFIG"))
    table = cloud.client("dynamodb").describe_table(TableName=stack.table)["Table"]
    check(table["SSEDescription"]["KMSMasterKeyArn"] == key, "the key is the table's", table["SSEDescription"])
    manager = cloud.client("secretsmanager")
    for site, name in stack.secrets.items():
        check(manager.describe_secret(SecretId=name)["KmsKeyId"] == key, f"and the secret's of {site}")
    groups = cloud.client("logs").describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{STACK}-")["logGroups"]
    check({group.get("kmsKeyId") for group in groups} == {key}, "and the logs'", groups)
    sites.log("acme", "SUP-1", 240, "after the update")
    crossed = lambda: any(said[1] == "after the update" for said in sites.said("globex", "DEV-1"))
    wait("work goes on after the update", 60, crossed)
    check(True, "work goes on where it was")


def drive(given, processes, work):
    begun = time.monotonic()
    say("--- MiniStack, and the template in it")
    cloud = Cloud(processes, work)
    made = deployed(cloud, given.functions)
    sites = Sites(processes, given.sites)
    folder = work / "operator"
    folder.mkdir()
    stack = Deployment(cloud, made, given.tandem, folder)
    status, body = request("GET", f"{stack.base}/healthz")
    check((status, body) == (200, b"ok"), "the endpoint is healthy", (status, body))
    before_there_is_a_configuration(stack, sites)
    set_up(stack, sites)
    connected(stack)
    back = changes_cross(stack, sites)
    what_no_webhook_tells(stack, sites, back)
    what_the_stream_does_not_tell(stack, sites)
    rotated(stack, sites)
    deployed_again(stack, sites)
    disconnected(stack)
    say("--- at the end")
    check(sites.said("acme", "SUP-1") == sites.said("globex", "DEV-1"), "both sites say the same")
    check(sites.ask("GET", "/violations") == [], "no site was asked too much or for what it does not know")
    for function in FUNCTIONS:
        log = stack.log(function)
        secrets = [text for site in stack.secrets for text in json.dumps(stack.secret(site)).split('"')]
        leaked = [text for text in secrets if len(text) > 8 and "_" not in text and text in log]
        check(leaked == [], f"no secret is in the log of {function}", leaked)
    say(f"all held, {time.monotonic() - begun:.0f} s")


def absolute(path):
    return pathlib.Path(path).resolve()


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--functions", type=absolute, required=True)
    arguments.add_argument("--tandem", type=absolute, required=True)
    arguments.add_argument("--sites", type=absolute, required=True)
    arguments.add_argument("--logs", type=absolute, required=True)
    given = arguments.parse_args()
    given.logs.mkdir(parents=True, exist_ok=True)
    processes = Processes(given.logs)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="tandem-stack-") as work:
        try:
            drive(given, processes, pathlib.Path(work))
        except Failed as failed:
            say(f"!!! FAILED: {failed}\n    logs: {given.logs}")
            return 1
        finally:
            processes.stop()
    say("--- not shown here, since MiniStack cannot")
    for one in BEYOND:
        say(f"  {one}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
