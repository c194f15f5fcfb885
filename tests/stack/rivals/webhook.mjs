// What functions/webhook does, as it would be written in Node: the secret, the signature, the row.
import { createHmac, timingSafeEqual } from "node:crypto";
import { DynamoDBClient, UpdateItemCommand } from "@aws-sdk/client-dynamodb";
import { GetSecretValueCommand, SecretsManagerClient } from "@aws-sdk/client-secrets-manager";

const table = new DynamoDBClient({});
const secrets = new SecretsManagerClient({});
let known;

async function handle(event) {
  known ??= JSON.parse((await secrets.send(new GetSecretValueCommand({ SecretId: process.env.RIVAL_SECRET }))).SecretString);
  const fits = known.jira_webhook_secrets.some((secret) => {
    const ours = Buffer.from("sha256=" + createHmac("sha256", secret).update(event.body).digest("hex"));
    const theirs = Buffer.from(event.headers["x-hub-signature"] ?? "");
    return ours.length === theirs.length && timingSafeEqual(ours, theirs);
  });
  if (!fits) return { statusCode: 401 };
  const issue = JSON.parse(event.body).worklog.issueId;
  const now = new Date().toISOString();
  await table.send(
    new UpdateItemCommand({
      TableName: process.env.TANDEM_TABLE,
      Key: { pk: { S: `DUE#ISSUE#acme#${issue}` }, sk: { S: "DUE" } },
      UpdateExpression: "SET hint_at = if_not_exists(hint_at, :now), generation = if_not_exists(generation, :zero) + :one",
      ExpressionAttributeValues: { ":now": { S: now }, ":zero": { N: "0" }, ":one": { N: "1" } },
    }),
  );
  return { statusCode: 202 };
}

const api = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation`;
for (;;) {
  const next = await fetch(`${api}/next`);
  const id = next.headers.get("lambda-runtime-aws-request-id");
  const answer = await handle(await next.json());
  await fetch(`${api}/${id}/response`, { method: "POST", body: JSON.stringify(answer) });
}
