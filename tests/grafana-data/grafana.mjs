// What Grafana and its plugins do with an answer, up to the data frame that a panel is given.
//
// OpenTSDB: transformMetricData in the browser, one frame a series from Grafana's server.
// Infinity: the backend parser's frame of typed columns. simPod and SimpleJSON: toDataFrame.
import { createRequire } from 'node:module';
import path from 'node:path';

// Version 9 asks the browser for its language.
globalThis.navigator ??= { language: 'en-GB', languages: ['en-GB'] };

const require = createRequire(import.meta.url);

export const VERSIONS = { 9: require('grafana-data-9'), 13: require('grafana-data-13') };
// Newer transformations look there for the dashboard they run in.
globalThis.window ??= {};

const folder = path.dirname(require.resolve('grafana-data-13'));
// Not exported, but what every time series panel runs its frames through.
export const { applyNullInsertThreshold } = require(
  path.join(folder, 'transformations/transformers/nulls/nullInsertThreshold.cjs')
);

/** Replaces $name and ${name} by what `values` has; what it lacks stays, as in Grafana. */
function filled(text, values) {
  return text.replace(/\$\{?([\w.]+)\}?/g, (all, name) => (name in values ? values[name] : all));
}

function opentsdbBrowser(grafana, asked) {
  return asked.answer.map((one) => {
    const target = asked.saved.targets[one.query.index];
    const tags = Object.fromEntries(Object.entries(one.tags).map(([k, v]) => [`tag_${k}`, v]));
    const datapoints = Object.entries(one.dps).map(([stamp, value]) => [value, stamp * 1000]);
    const frame = { target: filled(target.alias, tags), datapoints, refId: target.refId };
    return grafana.toDataFrame(frame);
  });
}

function opentsdbServer(grafana, asked) {
  return asked.answer.map((one) => {
    const stamps = Object.keys(one.dps);
    return grafana.toDataFrame({
      schema: {
        refId: asked.request.ref_ids[0],
        name: one.metric,
        fields: [
          { name: 'Time', type: 'time' },
          { name: one.metric, type: 'number', labels: one.tags },
        ],
      },
      data: { values: [stamps.map((stamp) => stamp * 1000), stamps.map((stamp) => one.dps[stamp])] },
    });
  });
}

const INFINITY_TYPES = {
  string: 'string',
  number: 'number',
  boolean: 'boolean',
  timestamp_epoch: 'time',
};

function infinity(grafana, asked) {
  const targets = asked.saved.targets ?? [asked.saved.target ?? asked.saved.query.infinityQuery];
  const target = targets.find((one) => one.refId === asked.request.ref_ids[0]);
  const columns = [...target.columns].sort((a, b) => (a.text < b.text ? -1 : 1));
  const fields = columns.map((one) => ({ name: one.text, type: INFINITY_TYPES[one.type] }));
  const values = columns.map((one) => asked.answer.map((row) => row[one.selector]));
  return [grafana.toDataFrame({ schema: { refId: target.refId, fields }, data: { values } })];
}

function arrays(grafana, asked) {
  return asked.answer.map((one) => grafana.toDataFrame(one));
}

const READERS = {
  'opentsdb browser': opentsdbBrowser,
  'opentsdb server': opentsdbServer,
  infinity,
  simpod: arrays,
  simplejson: arrays,
};

/** Returns the data frames that Grafana makes of one answer. */
export function framesOf(grafana, asked) {
  return READERS[asked.request.of](grafana, asked);
}

/** Returns a field's values as an array, which older versions wrap. */
export function valuesOf(field) {
  return Array.from(field.values.toArray ? field.values.toArray() : field.values);
}

function property(id, process) {
  return { id, path: id, name: id, process, shouldApply: () => true, getItemsCount: () => 0 };
}

/** Applies a panel's overrides and returns the fields as they are drawn. */
export function drawn(grafana, panel, frames) {
  const plain = grafana.identityOverrideProcessor;
  const registry = new grafana.FieldConfigOptionsRegistry(() => [
    {
      ...property('displayName', grafana.displayNameOverrideProcessor),
      settings: { expandTemplateVars: true },
    },
    ...['unit', 'decimals', 'min', 'max', 'links', 'mappings', 'thresholds', 'color', 'noValue'].map(
      (id) => property(id, plain)
    ),
    ...['hidden', 'width', 'cellOptions'].map((id) => ({
      ...property(`custom.${id}`, plain),
      path: id,
      isCustom: true,
    })),
  ]);
  const replaced = (text, scoped) => {
    const { labels = {} } = scoped.__dataContext?.value.field ?? scoped.__field.value;
    const named = Object.entries(labels).map(([name, value]) => [`__field.labels.${name}`, value]);
    return filled(text, Object.fromEntries(named));
  };
  return grafana.applyFieldOverrides({
    data: frames,
    fieldConfig: panel.fieldConfig,
    fieldConfigRegistry: registry,
    replaceVariables: replaced,
    theme: grafana.createTheme(),
    timeZone: 'utc',
  });
}

const READY = new Set();

/** Runs a panel's transformations. */
export function transformed(grafana, panel, frames) {
  if (!READY.has(grafana)) {
    READY.add(grafana);
    // Newer versions load each when it is needed. Several names stand for one transformer.
    const offered = (one) => (grafana === VERSIONS[9] ? one : () => Promise.resolve(one));
    const known = new Map(Object.values(grafana.standardTransformers).map((one) => [one.id, one]));
    grafana.standardTransformersRegistry.setInit(() =>
      [...known].map(([id, one]) => ({ id, name: id, transformation: offered(one) }))
    );
  }
  return new Promise((resolve, reject) => {
    grafana
      .transformDataFrame(panel.transformations ?? [], frames)
      .subscribe({ next: resolve, error: reject });
  });
}
