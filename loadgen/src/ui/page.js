// Shows each state of the campaign as it comes, and loads the report anew where there is a new one.
"use strict";
const part = (id) => document.getElementById(id);
const count = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
let shownReport = 0;

function cell(name, text, inSmall) {
  const made = document.createElement(name);
  made.textContent = text;
  if (inSmall) {
    const small = document.createElement("small");
    small.textContent = ` ${inSmall}`;
    made.append(small);
  }
  return made;
}

function row(arm) {
  const made = document.createElement("tr");
  made.classList.toggle("invalid", !arm.valid);
  const name = cell("th", arm.arm, arm.valid ? "" : "(invalid)");
  name.scope = "row";
  made.append(name, cell("td", arm.trial));
  for (const [label, value] of arm.figures) {
    const figure = cell("td", value, label);
    figure.className = "figure";
    made.append(figure);
  }
  return made;
}

function show(state) {
  part("campaign").textContent = state.campaign;
  document.title = `${state.ended} of ${state.planned} · ${state.campaign} · authbench`;
  part("progress").max = state.planned || 1;
  part("progress").value = state.ended;
  const done = `${state.ended.toLocaleString("en")} of ${count(state.planned, "trial")}`;
  const invalid = state.invalid ? `, ${state.invalid} of them invalid` : "";
  const left = state.left ? `, about ${state.left} left` : "";
  part("now").textContent = state.over ?? `${done}${invalid}${left}${state.now ? `: ${state.now}` : ""}`;
  part("doubt").hidden = !state.doubt;
  if (state.doubt) {
    part("doubt").classList.toggle("invalidates", state.doubt.invalidates);
    part("doubt").textContent =
      `${state.doubt.invalidates ? "Invalid" : "Doubt"}: ${state.doubt.what}; ${state.doubt.remedy}.`;
  }
  part("arms").replaceChildren(...state.arms.map(row));
  if (state.report > shownReport) {
    shownReport = state.report;
    // A reload keeps the reader's place and settings.
    part("report").contentWindow.location.reload();
  }
}

const states = new EventSource("events");
states.onmessage = (event) => {
  const state = JSON.parse(event.data);
  show(state);
  if (state.over) states.close();
};
states.onerror = () => {
  if (states.readyState === EventSource.CLOSED) return;
  part("now").textContent = "No connection to the campaign.";
};
