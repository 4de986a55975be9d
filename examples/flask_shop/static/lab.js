"use strict";

const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const seconds = (begin) => ((performance.now() - begin) / 1000).toFixed(1) + " s";

async function post(address, word) {
  const begin = performance.now();
  const answer = await fetch(address, { method: "POST", redirect: "manual", headers: { "X-CSRF-Word": word } });
  if (!answer.ok && answer.type !== "opaqueredirect") throw new Error(`${address} answered ${answer.status}`);
  const type = answer.headers.get("Content-Type") || "";
  return { body: type.includes("json") ? await answer.json() : null, took: performance.now() - begin };
}

const ask = async (address) => (await fetch(address)).json();
const word = () => document.querySelector("input[name=csrf]").value;

function keepWord(fresh) {
  for (const field of document.querySelectorAll("input[name=csrf]")) field.value = fresh;
  return fresh;
}

function paint(board, survivors) {
  const cells = document.querySelectorAll(`#${board} li`);
  cells.forEach((cell, index) => {
    cell.className = survivors === null ? "running" : survivors.includes(index + 1) ? "kept" : "lost";
  });
  const score = document.querySelector(`#${board} .score b`);
  score.textContent = survivors === null ? "…" : survivors.length;
}

function showScores(values) {
  document.querySelectorAll("#scores dd").forEach((field, index) => { field.textContent = values[index]; });
}

// The header and the bottom line tell about the session: after an experiment, what a fresh page would have there.
async function refresh() {
  const page = new DOMParser().parseFromString(await (await fetch(location.pathname)).text(), "text/html");
  for (const part of ["header.site", "footer.site"]) document.querySelector(part).replaceWith(page.querySelector(part));
}

async function race(section) {
  const { start, result } = section.dataset;
  const runners = Number(section.dataset.runners);
  const text = document.getElementById("race-result");
  text.textContent = "Running …";
  paint("own", null);
  paint("whole", null);
  showScores(["…", "…", "…"]);
  const held = keepWord((await post(start, word())).body.csrf);
  const begin = performance.now();
  const runs = await Promise.all(Array.from({ length: runners }, (_, index) => post(`${start}/${index + 1}`, held)));
  const total = Math.round(performance.now() - begin);
  const left = (await post(result, held)).body;
  paint("own", left.keys);
  paint("whole", left.whole);
  showScores([`${left.keys.length}/${runners}`, `${left.flashes.length}/${runners}`, `${left.count}/${runners}`]);
  const times = runs.map((run) => run.took).sort((a, b) => a - b);
  const typical = Math.round(times[Math.floor(times.length / 2)]);
  text.textContent = `${left.keys.length} of ${runners} keys, ${left.flashes.length} of ${runners} flashes, counter at `
    + `${left.count}. ${runners} requests in ${total} ms (${typical} ms each, waiting included) through `
    + `${left.workers.length} worker${left.workers.length === 1 ? "" : "s"}: ${left.workers.join(", ")}.`;
  await refresh();
}

async function slow(section) {
  const { start, slow: address, logout, who } = section.dataset;
  const steps = document.getElementById("steps");
  steps.replaceChildren();
  const begin = performance.now();
  const step = (text, kind) => {
    const line = document.createElement("li");
    const time = document.createElement("b");
    time.textContent = seconds(begin);
    line.append(time, " ", text);
    line.className = kind || "";
    steps.append(line);
  };
  const held = keepWord((await post(start, word())).body.csrf);
  const late = post(address, held);
  let before = await ask(who);
  while (!before.slow) {
    await wait(50);
    before = await ask(who);
  }
  step(`The slow request is at work, with ticket ${before.handle}.`);
  await wait(500);
  await post(logout, held);
  step(`You sign out. Ticket ${before.handle} is handed in.`);
  const answer = (await late).body;
  step(answer.alive ? "The late write brought the session back!" : `The slow request writes: refused, the session is ${answer.reason}.`,
    answer.alive ? "bad" : "good");
  const after = await ask(who);
  const back = after.handle === before.handle || after.late;
  step(back ? "The session is back!" : "Asked once more: the browser has no session, and the late write is nowhere.", back ? "bad" : "good");
  keepWord("");
  await refresh();
}

const experiments = { race, slow };

for (const button of document.querySelectorAll("[data-run]")) {
  button.addEventListener("click", async () => {
    const section = button.closest("section");
    button.disabled = true;
    try {
      await experiments[button.dataset.run](section);
    } catch (error) {
      section.querySelector("[role=status], [aria-live]").textContent = `It did not work: ${error.message}. Reload the page.`;
    }
    button.disabled = false;
  });
}
