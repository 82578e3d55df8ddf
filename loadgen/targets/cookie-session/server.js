// An Express server whose sessions are in signed cookies: cookie-session.
//
// The server keeps nothing of a login: user and cart travel in the cookie `session`, and the cookie
// `session.sig` has its signature, so a client must keep both and take new ones from answers. A
// logout clears the browser's cookies only: a copy of them stays good for as long as the key.

import { randomBytes } from "node:crypto";

import cookieSession from "cookie-session";
import express from "express";

import { isUser, listen, withItem } from "../frame.mjs";

function requireUser(request, response, next) {
  if (request.session.user === undefined) {
    response.status(401).json({ error: "unauthorized" });
    return;
  }
  next();
}

const app = express();
app.disable("x-powered-by");
// JSON alone: a form of another site cannot send it, and SameSite keeps the cookies from such a form.
app.use(express.json({ limit: "16kb" }));
app.use(
  cookieSession({
    name: "session",
    keys: [randomBytes(32).toString("hex")],
    // Without `secure`, because this is plain HTTP on the loopback interface.
    httpOnly: true,
    sameSite: "lax",
    maxAge: 15 * 60 * 1000,
  }),
);

app.post("/login", (request, response) => {
  const { username, password } = request.body ?? {};
  if (!isUser(username, password)) {
    response.status(401).json({ error: "invalid_credentials" });
    return;
  }
  request.session = { user: username, cart: [] };
  response.json({ user: username });
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

app.post("/logout", requireUser, (request, response) => {
  request.session = null;
  response.status(204).end();
});

listen(app);
