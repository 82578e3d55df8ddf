// An OpenID Connect provider, oidc-provider, with a login form of its own.
//
// The package's adapter for tries keeps the last thousand records and no more, so a load of more
// users would log some of them out: records are kept here in a map until they expire.

import { generateKeyPairSync, randomBytes } from "node:crypto";

import express from "express";
import { Provider } from "oidc-provider";

import { isUser } from "../frame.mjs";

const SWEEP_MS = 10_000;

const records = new Map();
const grants = new Map();
const uids = new Map();

function live(key) {
  const record = records.get(key);
  return record === undefined || record.ends <= Date.now() ? undefined : record;
}

setInterval(() => {
  for (const [key, record] of records) {
    if (record.ends <= Date.now()) {
      forget(key, record);
    }
  }
}, SWEEP_MS).unref();

function forget(key, record) {
  records.delete(key);
  const { grantId, uid } = record.payload;
  const members = grants.get(grantId);
  members?.delete(key);
  if (members?.size === 0) {
    grants.delete(grantId);
  }
  if (uids.get(uid) === key) {
    uids.delete(uid);
  }
}

class Records {
  constructor(model) {
    this.model = model;
  }

  key(id) {
    return `${this.model}:${id}`;
  }

  async upsert(id, payload, expiresIn) {
    const key = this.key(id);
    const ends = expiresIn === undefined ? Infinity : Date.now() + expiresIn * 1000;
    records.set(key, { payload, ends });
    if (payload.grantId !== undefined && this.model !== "Grant") {
      grants.set(payload.grantId, (grants.get(payload.grantId) ?? new Set()).add(key));
    }
    if (payload.uid !== undefined) {
      uids.set(payload.uid, key);
    }
  }

  async find(id) {
    return live(this.key(id))?.payload;
  }

  async findByUid(uid) {
    return live(uids.get(uid))?.payload;
  }

  async findByUserCode() {
    return undefined;
  }

  async consume(id) {
    const record = live(this.key(id));
    if (record !== undefined) {
      record.payload.consumed = Math.floor(Date.now() / 1000);
    }
  }

  async destroy(id) {
    const record = records.get(this.key(id));
    if (record !== undefined) {
      forget(this.key(id), record);
    }
  }

  async revokeByGrantId(grantId) {
    for (const key of grants.get(grantId) ?? []) {
      forget(key, records.get(key));
    }
  }
}

function signingKey() {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return { ...privateKey.export({ format: "jwk" }), alg: "ES256", use: "sig" };
}

const page = (uid, message) => `<!doctype html>
<html lang="en"><title>Sign in</title>
<form method="post" action="/interaction/${uid}/login">
<p>${message}</p>
<label>Name <input name="username" autocomplete="username" required></label>
<label>Password <input name="password" type="password" autocomplete="current-password"></label>
<button>Sign in</button>
</form></html>`;

// The provider of one client at this issuer, and the routes of its login form.
export function createProvider(issuer, client) {
  const provider = new Provider(issuer, {
    adapter: Records,
    clients: [
      {
        client_id: client.id,
        client_secret: client.secret,
        redirect_uris: [client.redirectUri],
        id_token_signed_response_alg: "ES256",
      },
    ],
    clientAuthMethods: ["client_secret_basic"],
    cookies: {
      keys: [randomBytes(32).toString("hex")],
      // The session's cookie is sent to the provider only, as from a host of its own.
      long: { path: new URL(issuer).pathname, sameSite: "lax", httpOnly: true },
    },
    enabledJWA: { idTokenSigningAlgValues: ["ES256"] },
    features: { devInteractions: { enabled: false } },
    findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    jwks: { keys: [signingKey()] },
    // The client is the provider's own: nobody is asked whether it may know who they are.
    loadExistingGrant: async (ctx) => {
      const { client: asking, session } = ctx.oidc;
      const grant = new ctx.oidc.provider.Grant({
        accountId: session.accountId,
        clientId: asking.clientId,
      });
      grant.addOIDCScope("openid");
      await grant.save(3600);
      return grant;
    },
    pkce: { required: () => true },
    ttl: { AccessToken: 900, Grant: 3600, IdToken: 600, Interaction: 600, Session: 3600 },
  });

  const interactions = express.Router();
  interactions.use(express.urlencoded({ extended: false, limit: "16kb" }));
  const show = (response, status, uid, message) =>
    response.status(status).set("Cache-Control", "no-store").type("html").send(page(uid, message));

  interactions.get("/interaction/:uid", async (request, response) => {
    const { uid } = await provider.interactionDetails(request, response);
    show(response, 200, uid, "Sign in to continue.");
  });

  interactions.post("/interaction/:uid/login", async (request, response) => {
    const { uid } = await provider.interactionDetails(request, response);
    const { username, password } = request.body ?? {};
    if (!isUser(username, password)) {
      show(response, 401, uid, "Wrong name or password.");
      return;
    }
    await provider.interactionFinished(request, response, { login: { accountId: username } });
  });

  return { provider, interactions };
}
