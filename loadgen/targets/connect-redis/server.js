// An Express server with sessions in Redis: express-session with connect-redis and node-redis.
//
// This is what a service with several processes does: each request reads its session from Redis
// and sets its expiry anew, and a session outlives the server. Redis is at REDIS_URL, or behind
// the unix socket in REDIS_SOCKET.

import { randomBytes } from "node:crypto";

import { RedisStore } from "connect-redis";
import express from "express";
import session from "express-session";
import { createClient } from "redis";

import { isUser, listen, withItem } from "../frame.mjs";

// Several processes, and one that is to know its sessions after a restart, need the same secret.
const secret = process.env.SESSION_SECRET ?? randomBytes(32).toString("hex");

const path = process.env.REDIS_SOCKET;
const url = process.env.REDIS_URL ?? "redis://127.0.0.1:6379";
const client = createClient(path ? { socket: { path } } : { url });
client.on("error", (error) => console.error(`redis: ${error.message}`));
await client.connect();

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
  request.session.cart = withItem(request.session.cart, request);
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

listen(app);
