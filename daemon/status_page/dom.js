'use strict';
// What the parts of the page share: elements, numbers as text, updates that leave alone what has not changed, so that
// focus, scroll position and selection stay where the reader has them.
const $ = (id) => document.getElementById(id);
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const element = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === 'class') made.className = value;
    else if (name === 'mark') made.style.setProperty('--mark', value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? '' : value);
  }
  made.append(...children);
  return made;
};
const setText = (node, text) => { if (node.textContent !== text) node.textContent = text; };
const setAttribute = (node, name, value) => { if (node.getAttribute(name) !== value) node.setAttribute(name, value); };
const show = (node, shown) => { if (node.hidden === shown) node.hidden = !shown; };

// The children of `parent` become those that `items` ask for: `key(item)` says which is which, `make(item)` makes one
// that is new, `fill(node, item)` says what it shows now.
function keyed(parent, items, key, make, fill) {
  const old = new Map([...parent.children].map((node) => [node.dataset.key, node]));
  let before = parent.firstElementChild;
  for (const item of items) {
    const name = String(key(item));
    let node = old.get(name);
    if (node) {
      old.delete(name);
      if (node === before) before = before.nextElementSibling;
      else parent.insertBefore(node, before);
    } else {
      node = make(item);
      node.dataset.key = name;
      parent.insertBefore(node, before);
    }
    fill(node, item);
  }
  for (const node of old.values()) node.remove();
}

// A table whose heading is `columns` ([text, class]), with a body to be filled by keyed().
function tableBody(table, caption, columns) {
  if (!table.tHead) {
    table.append(element('caption', {class: 'unseen'}, caption),
      element('thead', {}, element('tr', {}, ...columns.map(([text, kind]) => element('th', {scope: 'col', class: kind || null}, text)))),
      element('tbody'));
  }
  return table.tBodies[0];
}
// Rows of plain text; each of `rows` has a key and its cells.
function textRows(body, rows, kinds) {
  keyed(body, rows, (row) => row.key,
    (row) => element('tr', {}, ...row.cells.map((_, i) => element(i === 0 ? 'th' : 'td', i === 0 ? {scope: 'row', class: kinds[0] || 'text'} : {class: kinds[i] || null}))),
    (node, row) => row.cells.forEach((cell, i) => setText(node.cells[i], cell)));
}

const counting = new Intl.NumberFormat('en', {maximumFractionDigits: 0});
const short = new Intl.NumberFormat('en', {notation: 'compact', maximumSignificantDigits: 3});
const known = (value) => typeof value === 'number' && Number.isFinite(value);
const count = (value) => (known(value) ? counting.format(value) : '–');
const brief = (value) => (!known(value) ? '–' : Math.abs(value) < 10_000 ? counting.format(value) : short.format(value));
const decimal = (value, digits = 4) => (known(value) ? value.toFixed(digits) : '–');
const signed = (value, digits = 4) => (!known(value) ? '–' : (value > 0 ? '+' : value < 0 ? '−' : '') + Math.abs(value).toFixed(digits));
const percent = (share, digits = 0) => (known(share) ? `${(share * 100).toFixed(digits)} %` : '–');
const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;
const rateText = (value) => (!known(value) ? '–' : value >= 100 ? brief(Math.round(value)) : value >= 1 ? value.toFixed(1) : value > 0 ? value.toPrecision(2) : '0');

const twoDigits = (value) => String(value).padStart(2, '0');
const clock = (ms) => { const at = new Date(ms); return `${twoDigits(at.getHours())}:${twoDigits(at.getMinutes())}:${twoDigits(at.getSeconds())}`; };
const day = (ms) => { const at = new Date(ms); return `${at.getFullYear()}-${twoDigits(at.getMonth() + 1)}-${twoDigits(at.getDate())}`; };
const moment = (ms) => (day(ms) === day(Date.now()) ? clock(ms) : `${day(ms)} ${clock(ms)}`);
function lasting(ms) {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

// Which measures are better when they are lower, and how they are called.
const lowerIsBetter = new Set(['log_loss', 'brier', 'mae', 'rmse']);
const measureNames = {log_loss: 'Log loss', accuracy: 'Accuracy', auc: 'ROC AUC', precision: 'Precision', recall: 'Recall', f1: 'F1',
  f1_macro: 'F1, macro', f1_weighted: 'F1, weighted', brier: 'Brier score', mae: 'Mean absolute error', rmse: 'RMSE', r2: 'R²'};
const measureName = (name) => measureNames[name] ?? name.replaceAll('_', ' ');
const spaced = (name) => name.replaceAll('_', ' ');
