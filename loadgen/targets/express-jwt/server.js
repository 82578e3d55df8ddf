// An Express server with bearer tokens: jsonwebtoken, HS256.
//
// The token carries the user and nothing is kept of a login, so there is nothing to log out of
// before the token expires. No CSRF token is needed either: a browser never sends an Authorization
// header of its own accord.

import { createHash, createSecretKey, randomBytes, timingSafeEqual } from "node:crypto";

import express from "express";
import jwt from "jsonwebtoken";

const USERS_MAX = 10_000_000;
const CART_MAX = 10;
const EXPIRES_IN_S = 15 * 60;
const port = Number(process.env.PORT ?? process.argv[2] ?? 3000);

const key = createSecretKey(randomBytes(32));
const claims = { algorithm: "HS256", issuer: "authbench", audience: "authbench" };
// What is checked is said in full: a token must not choose its own algorithm.
const checks = { algorithms: [claims.algorithm], issuer: claims.issuer, audience: claims.audience };

// The shop's data, which a real server has in a database. It is not a session: it is found by user.
const carts = new Map();

const digest = (text) => createHash("sha256").update(String(text)).digest();
const equal = (a, b) => timingSafeEqual(digest(a), digest(b));

// user-N has the password password-N. A real server keeps a slow hash of each; this one is about
// what comes after the login.
function isUser(username, password) {
  const number = /^user-(0|[1-9][0-9]{0,7})$/.exec(String(username))?.[1];
  const right = equal(password, `password-${number}`);
  return number !== undefined && Number(number) < USERS_MAX && right;
}

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
  const item = String(request.body?.item ?? "").slice(0, 64);
  const items = [...(carts.get(request.user) ?? []), item].slice(-CART_MAX);
  carts.set(request.user, items);
  response.json({ user: request.user, items });
});

// The client forgets its token; the server has nothing to forget.
app.post("/logout", requireUser, (request, response) => {
  response.status(204).end();
});

const server = app.listen(port, "127.0.0.1", (error) => {
  if (error) {
    throw error;
  }
  console.log(`ready http://127.0.0.1:${server.address().port}`);
});
// As behind a proxy: idle connections stay open for longer than the users of a load think.
server.keepAliveTimeout = 65_000;
server.headersTimeout = 66_000;
