// An Express server with bearer tokens: jsonwebtoken, HS256.
//
// The token carries the user and nothing is kept of a login, so there is nothing to log out of
// before the token expires. No CSRF token is needed either: a browser never sends an Authorization
// header of its own accord.

import { createSecretKey, randomBytes } from "node:crypto";

import express from "express";
import jwt from "jsonwebtoken";

import { isUser, listen, withItem } from "../frame.mjs";

const EXPIRES_IN_S = 15 * 60;

const key = createSecretKey(randomBytes(32));
const claims = { algorithm: "HS256", issuer: "authbench", audience: "authbench" };
// What is checked is said in full: a token must not choose its own algorithm.
const checks = { algorithms: [claims.algorithm], issuer: claims.issuer, audience: claims.audience };

// The shop's data, which a real server has in a database. It is not a session: it is found by user.
const carts = new Map();

function requireUser(request, response, next) {
  const token = /^Bearer ([^ ]+)$/i.exec(request.get("Authorization") ?? "")?.[1];
  try {
    request.user = jwt.verify(token, key, checks).sub;
  } catch {
    response.set("WWW-Authenticate", "Bearer").status(401).json({ error: "unauthorized" });
    return;
  }
  next();
}

const app = express();
app.disable("x-powered-by");
app.use(express.json({ limit: "16kb" }));

app.post("/login", (request, response) => {
  const { username, password } = request.body ?? {};
  if (!isUser(username, password)) {
    response.status(401).json({ error: "invalid_credentials" });
    return;
  }
  const options = { ...claims, subject: username, expiresIn: EXPIRES_IN_S };
  const token = jwt.sign({}, key, options);
  response.json({ access_token: token, token_type: "Bearer", expires_in: EXPIRES_IN_S });
});

app.get("/me", requireUser, (request, response) => {
  response.json({ user: request.user });
});

app.get("/cart", requireUser, (request, response) => {
  response.json({ user: request.user, items: carts.get(request.user) ?? [] });
});

app.post("/cart", requireUser, (request, response) => {
  const items = withItem(carts.get(request.user) ?? [], request);
  carts.set(request.user, items);
  response.json({ user: request.user, items });
});

// The client forgets its token; the server has nothing to forget.
app.post("/logout", requireUser, (request, response) => {
  response.status(204).end();
});

listen(app);
