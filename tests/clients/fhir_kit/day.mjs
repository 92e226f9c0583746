// A day of work through fhir-kit-client, unchanged. Input: base, provider token, pantry token, CIN, the two resources.
import assert from "node:assert";
import { readFileSync } from "node:fs";
import { Client } from "fhir-kit-client";

const given = JSON.parse(readFileSync(0, "utf8"));
const as = (token) => new Client({ baseUrl: given.base, bearerToken: token });
const provider = as(given.provider);
const pantry = as(given.pantry);

const statement = await provider.capabilityStatement();
assert.equal(statement.fhirVersion, "4.0.1");

const found = await provider.search({ resourceType: "Patient", searchParams: { identifier: given.identifier } });
assert.equal(found.total ?? found.entry.length, 1);
const person = found.entry[0].resource.id;

let page = await provider.search({ resourceType: "Patient", searchParams: { _count: 1 } });
const seen = new Set();
while (page) {
  for (const entry of page.entry) seen.add(entry.resource.id);
  page = page.link.some((link) => link.relation === "next") ? await provider.nextPage({ bundle: page }) : null;
}
assert.equal(seen.size, given.members);

const of = (resource) => JSON.parse(JSON.stringify(resource).replaceAll("PERSON", person));
const request = await provider.create({ resourceType: "ServiceRequest", body: of(given.request) });
const task = await provider.create({
  resourceType: "Task",
  body: JSON.parse(JSON.stringify(of(given.task)).replaceAll("REQUEST", request.id)),
});

for (const status of ["accepted", "in-progress", "completed"]) {
  const now = await pantry.read({ resourceType: "Task", id: task.id });
  const body = { ...now, status, ...(status === "completed" ? { output: given.output } : {}) };
  const headers = { "If-Match": `W/"${now.meta.versionId}"` };
  await pantry.update({ resourceType: "Task", id: task.id, body, options: { headers } });
}

const patched = await provider.patch({
  resourceType: "ServiceRequest",
  id: request.id,
  jsonPatch: [{ op: "add", path: "/note", value: [{ text: "Boxes arrived" }] }],
});
assert.equal(patched.note[0].text, "Boxes arrived");

const story = await provider.history({ resourceType: "Task", id: task.id });
assert.equal(story.entry.length, 4);
const batch = await provider.batch({
  body: {
    resourceType: "Bundle",
    type: "batch",
    entry: [{ request: { method: "GET", url: `Task/${task.id}` } }, { request: { method: "GET", url: "Task/none" } }],
  },
});
assert.deepEqual(batch.entry.map((entry) => entry.response.status.slice(0, 3)), ["200", "404"]);
await assert.rejects(pantry.read({ resourceType: "Patient", id: given.hidden }), (error) => error.response.status === 404);
console.log("done");
