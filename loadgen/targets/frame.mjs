// What the Express servers here have in common: who the users are, what a cart takes, and how a
// server starts. Copy it along with a server that imports it.

import { createHash, timingSafeEqual } from "node:crypto";

const USERS_MAX = 10_000_000;
const CART_MAX = 10;

const digest = (text) => createHash("sha256").update(String(text)).digest();

// Whether two texts are the same, in a time that does not tell where they differ.
export const equal = (a, b) => timingSafeEqual(digest(a), digest(b));

// user-N has the password password-N. A real server keeps a slow hash of each; these are about
// what comes after the login.
export function isUser(username, password) {
  const number = /^user-(0|[1-9][0-9]{0,7})$/.exec(String(username))?.[1];
  const right = equal(password, `password-${number}`);
  return number !== undefined && Number(number) < USERS_MAX && right;
}

// A cart with the item of a request behind the others, and the oldest left out where it is full.
export const withItem = (cart, request) =>
  [...cart, String(request.body?.item ?? "").slice(0, 64)].slice(-CART_MAX);

// Serves an app on the loopback interface, and gives `ready` its URL once it answers.
export function listen(app, defaultPort = 3000, ready = () => {}) {
  const port = Number(process.env.PORT ?? process.argv[2] ?? defaultPort);
  const server = app.listen(port, "127.0.0.1", (error) => {
    if (error) {
      throw error;
    }
    const url = `http://127.0.0.1:${server.address().port}`;
    ready(url);
    console.log(`ready ${url}`);
  });
  // As behind a proxy: idle connections stay open for longer than the users of a load think.
  server.keepAliveTimeout = 65_000;
  server.headersTimeout = 66_000;
}
