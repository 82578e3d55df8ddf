// An Express server that relies on an OpenID Connect provider: the authorization code flow with
// PKCE, and a session cookie after it.
//
// The browser is sent to the provider and comes back with a code, which this server redeems for
// tokens; they stay in the session, and the browser has a cookie and nothing else (a backend for a
// frontend). The provider is at /oidc of the same origin, as behind one reverse proxy: a login
// walks through both, and no redirect leaves the host that a target file names.

import { randomBytes } from "node:crypto";

import express from "express";
import session from "express-session";
import * as oidc from "openid-client";

import { listen, withItem } from "../frame.mjs";
import { createProvider } from "./provider.js";

function requireUser(request, response, next) {
  if (request.session.user === undefined) {
    response.status(401).json({ error: "unauthorized" });
    return;
  }
  next();
}

const change = (request, how) =>
  new Promise((done, fail) => {
    request.session[how]((error) => (error ? fail(error) : done()));
  });

// The routes of the server that relies on the provider. Its configuration is fetched from the
// provider with the first login, when the provider answers.
function relyingRoutes(origin, client) {
  const routes = express.Router();
  let discovered;
  const configuration = () => {
    discovered ??= oidc.discovery(
      new URL(`${origin}/oidc`),
      client.id,
      { id_token_signed_response_alg: "ES256" },
      oidc.ClientSecretBasic(client.secret),
      // Plain HTTP, on the loopback interface.
      { execute: [oidc.allowInsecureRequests] },
    );
    discovered.catch(() => (discovered = undefined));
    return discovered;
  };

  routes.get("/login", async (request, response) => {
    const verifier = oidc.randomPKCECodeVerifier();
    const [state, nonce] = [oidc.randomState(), oidc.randomNonce()];
    request.session.pending = { verifier, state, nonce };
    const url = oidc.buildAuthorizationUrl(await configuration(), {
      redirect_uri: client.redirectUri,
      scope: "openid",
      code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
      code_challenge_method: "S256",
      state,
      nonce,
    });
    response.redirect(303, url.href);
  });

  routes.get("/callback", async (request, response) => {
    const { pending } = request.session;
    if (pending === undefined) {
      response.status(400).json({ error: "no_login" });
      return;
    }
    let tokens;
    try {
      tokens = await oidc.authorizationCodeGrant(
        await configuration(),
        new URL(request.originalUrl, origin),
        {
          expectedNonce: pending.nonce,
          expectedState: pending.state,
          idTokenExpected: true,
          pkceCodeVerifier: pending.verifier,
        },
      );
    } catch (error) {
      response.status(401).json({ error: error.error ?? error.code ?? "invalid_grant" });
      return;
    }
    // A session of before the login may be known to someone else: the user gets a new one.
    await change(request, "regenerate");
    request.session.user = tokens.claims().sub;
    request.session.tokens = { access: tokens.access_token, id: tokens.id_token };
    request.session.cart = [];
    response.redirect(303, "/me");
  });

  routes.get("/me", requireUser, (request, response) => {
    response.json({ user: request.session.user });
  });

  routes.get("/cart", requireUser, (request, response) => {
    response.json({ user: request.session.user, items: request.session.cart });
  });

  routes.post("/cart", requireUser, (request, response) => {
    request.session.cart = withItem(request.session.cart, request);
    response.json({ user: request.session.user, items: request.session.cart });
  });

  routes.post("/logout", requireUser, async (request, response) => {
    await change(request, "destroy");
    response.clearCookie("session").status(204).end();
  });

  return routes;
}

const app = express();
app.disable("x-powered-by");

listen(app, 3001, (origin) => {
  const client = {
    id: "relying-server",
    secret: randomBytes(32).toString("hex"),
    redirectUri: `${origin}/callback`,
  };
  const { provider, interactions } = createProvider(`${origin}/oidc`, client);
  app.use("/oidc", provider.callback());
  app.use(interactions);
  app.use(express.json({ limit: "16kb" }));
  app.use(
    session({
      name: "session",
      secret: randomBytes(32).toString("hex"),
      resave: false,
      saveUninitialized: false,
      // Without `secure`, because this is plain HTTP on the loopback interface.
      cookie: { httpOnly: true, sameSite: "lax", maxAge: 15 * 60 * 1000 },
    }),
  );
  app.use(relyingRoutes(origin, client));
});
