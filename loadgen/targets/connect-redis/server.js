// An Express server with sessions in Redis: express-session with connect-redis and node-redis.
//
// This is what a service with several processes does: each request reads its session from Redis
// and sets its expiry anew, and a session outlives the server. Redis is at REDIS_URL, or behind
// the unix socket in REDIS_SOCKET.

import { createHash, randomBytes, timingSafeEqual } from "node:crypto";

import { RedisStore } from "connect-redis";
import express from "express";
import session from "express-session";
import { createClient } from "redis";

const USERS_MAX = 10_000_000;
const CART_MAX = 10;
const port = Number(process.env.PORT ?? process.argv[2] ?? 3000);
// Several processes, and one that is to know its sessions after a restart, need the same secret.
const secret = process.env.SESSION_SECRET ?? randomBytes(32).toString("hex");

const path = process.env.REDIS_SOCKET;
const url = process.env.REDIS_URL ?? "redis://127.0.0.1:6379";
const client = createClient(path ? { socket: { path } } : { url });
client.on("error", (error) => console.error(`redis: ${error.message}`));
await client.connect();

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
  if (request.session.user === undefined) {
    response.status(401).json({ error: "unauthorized" });
    return;
  }
  next();
}

const app = express();
app.disable("x-powered-by");
// JSON alone: a form of another site cannot send it, and SameSite keeps the cookie from such a form.
app.use(express.json({ limit: "16kb" }));
app.use(
  session({
    store: new RedisStore({ client, prefix: "session:" }),
    secret,
    resave: false,
    saveUninitialized: false,
    // Without `secure`, because this is plain HTTP on the loopback interface.
    cookie: { httpOnly: true, sameSite: "lax", maxAge: 15 * 60 * 1000 },
  }),
);

app.post("/login", (request, response, next) => {
  const { username, password } = request.body ?? {};
  if (!isUser(username, password)) {
    response.status(401).json({ error: "invalid_credentials" });
    return;
  }
  // A session of before the login may be known to someone else: the user gets a new one.
  request.session.regenerate((error) => {
    if (error) {
      next(error);
      return;
    }
    request.session.user = username;
    request.session.cart = [];
    response.json({ user: username });
  });
});

app.get("/me", requireUser, (request, response) => {
  response.json({ user: request.session.user });
});

app.get("/cart", requireUser, (request, response) => {
  response.json({ user: request.session.user, items: request.session.cart });
});

app.post("/cart", requireUser, (request, response) => {
  const item = String(request.body?.item ?? "").slice(0, 64);
  request.session.cart = [...request.session.cart, item].slice(-CART_MAX);
  response.json({ user: request.session.user, items: request.session.cart });
});

app.post("/logout", requireUser, (request, response, next) => {
  request.session.destroy((error) => {
    if (error) {
      next(error);
      return;
    }
    response.clearCookie("connect.sid").status(204).end();
  });
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
