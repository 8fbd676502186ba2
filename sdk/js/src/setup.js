// What a filter hears beside its configuration, and may say about itself.

import { utf8 } from "./bytes.js";
import { Refused, or } from "./errors.js";
import { host } from "./host.js";

/** A metric: values of labels are given by their names. */
class Metric {
  #id;
  #labels;

  constructor(kind, name, help, labels) {
    this.#id = or(Refused, () => host.metrics.declare(name, help, kind, labels));
    this.#labels = labels;
  }

  observed(value, labels) {
    host.metrics.observe(this.#id, this.#labels.map((name) => String(labels[name] ?? "")), Number(value));
  }
}

class Counter extends Metric {
  add(value = 1, labels = {}) {
    this.observed(value, labels);
  }
}

class Gauge extends Metric {
  set(value, labels = {}) {
    this.observed(value, labels);
  }
}

class Histogram extends Metric {
  observe(value, labels = {}) {
    this.observed(value, labels);
  }
}

export class Setup {
  #inputs;
  /** Whether the filter has said itself which hooks it wants. */
  chosen = false;

  constructor(inputs) {
    this.#inputs = new Map(inputs.map(({ name, content }) => [name, content]));
  }

  /** The content of an input; undefined if none is named so. */
  input(name) {
    return this.#inputs.get(name);
  }

  inputText(name) {
    const content = this.input(name);
    return content === undefined ? undefined : utf8(content);
  }

  get inputs() {
    return this.#inputs.entries();
  }

  want(hook) {
    or(Refused, () => host.setup.want(hook));
    this.chosen = true;
  }

  keepState() {
    host.setup.keepState();
  }

  tickEvery(ms) {
    host.setup.tickEveryMs(BigInt(Math.ceil(ms)));
  }

  counter(name, help, labels = []) {
    return new Counter("counter", name, help, labels);
  }

  gauge(name, help, labels = []) {
    return new Gauge("gauge", name, help, labels);
  }

  histogram(name, help, labels = []) {
    return new Histogram("histogram", name, help, labels);
  }
}
