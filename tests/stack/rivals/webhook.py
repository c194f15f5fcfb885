# What functions/webhook does, as it would be written in Python: the secret, the signature, the row.
import datetime
import hashlib
import hmac
import json
import os
import urllib.request

import boto3

table = boto3.client("dynamodb")
secrets = boto3.client("secretsmanager")
known = None


def handle(event):
    global known
    known = known or json.loads(secrets.get_secret_value(SecretId=os.environ["RIVAL_SECRET"])["SecretString"])
    body = event["body"].encode()
    theirs = event["headers"].get("x-hub-signature", "")
    ours = ["sha256=" + hmac.new(s.encode(), body, hashlib.sha256).hexdigest() for s in known["jira_webhook_secrets"]]
    if not any(hmac.compare_digest(one, theirs) for one in ours):
        return {"statusCode": 401}
    issue = json.loads(body)["worklog"]["issueId"]
    now = datetime.datetime.now(datetime.timezone.utc).isoformat()
    table.update_item(
        TableName=os.environ["TANDEM_TABLE"],
        Key={"pk": {"S": f"DUE#ISSUE#acme#{issue}"}, "sk": {"S": "DUE"}},
        UpdateExpression="SET hint_at = if_not_exists(hint_at, :now), generation = if_not_exists(generation, :zero) + :one",
        ExpressionAttributeValues={":now": {"S": now}, ":zero": {"N": "0"}, ":one": {"N": "1"}},
    )
    return {"statusCode": 202}


api = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"
while True:
    with urllib.request.urlopen(f"{api}/next") as asked:
        id = asked.headers["lambda-runtime-aws-request-id"]
        answer = handle(json.load(asked))
    told = urllib.request.Request(f"{api}/{id}/response", data=json.dumps(answer).encode(), method="POST")
    urllib.request.urlopen(told).close()
