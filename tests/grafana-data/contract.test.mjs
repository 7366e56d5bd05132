// Every answer of the walk through the dashboards, read by Grafana's own code.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';

import { VERSIONS, applyNullInsertThreshold, drawn, framesOf, transformed, valuesOf } from './grafana.mjs';

const { walks, simplejson } = JSON.parse(readFileSync(process.env.GRAFANA_ANSWERS, 'utf8'));
const asked = walks.flatMap((walk) => walk.asked.map((one) => ({ ...one, span: walk.span })));
// Grafana 9 has no megahertz: it writes the unit's own name behind the number.
const UNKNOWN = { 9: ['rotmhz'], 13: [] };
const label = (one) => `${one.board}: ${one.title} (${one.request.of})`;
const panels = asked.filter((one) => one.kind === 'panel');

/** Returns what a panel got by one way, all its queries together, as Grafana hands it over. */
function together(kinds) {
  const found = new Map();
  for (const one of panels.filter((panel) => kinds.includes(panel.request.of))) {
    const key = `${one.board} ${one.saved.id} ${one.request.of}`;
    found.set(key, [...(found.get(key) ?? []), one]);
  }
  return [...found.values()];
}

function checkTimes(field, span) {
  const stamps = valuesOf(field);
  for (const [index, stamp] of stamps.entries()) {
    assert.ok(Number.isInteger(stamp), `${stamp} is no whole number of milliseconds`);
    // A bucket may begin a day before the range does.
    assert.ok(stamp >= (span.start - 86_400) * 1000 && stamp <= span.end * 1000, String(stamp));
    assert.ok(index === 0 || stamp > stamps[index - 1], 'times do not rise');
  }
}

for (const [version, grafana] of Object.entries(VERSIONS)) {
  const { FieldType, getFieldDisplayName, getValueFormats } = grafana;
  const units = new Set(getValueFormats().flatMap((group) => group.submenu.map((one) => one.value)));

  describe(`@grafana/data ${version}`, () => {
    test('there is something to read in every way', () => {
      const ways = new Set(asked.map((one) => one.request.of));
      assert.deepEqual([...ways].sort(), ['infinity', 'opentsdb browser', 'opentsdb server', 'simpod']);
    });

    for (const one of panels.filter((panel) => panel.saved.type !== 'table')) {
      if (one.request.of === 'infinity' || one.saved.type === 'stat') continue;
      test(`series become time and number: ${label(one)}`, () => {
        for (const frame of framesOf(grafana, one)) {
          const [time, value] = frame.fields;
          assert.equal(frame.fields.length, 2);
          assert.equal(time.type, FieldType.time);
          assert.equal(value.type, FieldType.number);
          assert.equal(frame.length, valuesOf(value).length);
          checkTimes(time, one.span);
          for (const number of valuesOf(value)) {
            assert.ok(number === null || Number.isFinite(number), String(number));
          }
        }
      });
    }

    for (const parts of together(['opentsdb browser', 'opentsdb server'])) {
      const one = parts[0];
      test(`legends are the names people know: ${label(one)}`, () => {
        const frames = drawn(grafana, one.saved, parts.flatMap((part) => framesOf(grafana, part)));
        const names = frames.map((frame) => getFieldDisplayName(frame.fields[1], frame, frames));
        for (const name of names) {
          assert.doesNotMatch(name, /\$|vscope\.|undefined/, name);
        }
        assert.equal(new Set(names).size, names.length, `twice the same: ${names}`);
        // The way the answer comes by does not change the legend.
        const other = panels.filter(
          (panel) =>
            panel.board === one.board &&
            panel.saved.id === one.saved.id &&
            panel.request.of === 'opentsdb browser'
        );
        const expected = other.flatMap((part) => framesOf(grafana, part));
        const aliases = expected.map((frame) => getFieldDisplayName(frame.fields[1], frame, expected));
        assert.deepEqual(names.sort(), aliases.sort());
      });
    }

    for (const parts of together(['infinity', 'simpod']).filter((all) => all[0].saved.type === 'table')) {
      const one = parts[0];
      test(`tables have their columns in order: ${label(one)}`, async () => {
        const given = parts.flatMap((part) => framesOf(grafana, part));
        const [frame, ...rest] = drawn(grafana, one.saved, await transformed(grafana, one.saved, given));
        assert.equal(rest.length, 0);
        assert.ok(frame.length > 0);
        const shown = frame.fields.filter((field) => !field.config.custom?.hidden);
        const titles = shown.map((field) => getFieldDisplayName(field, frame, [frame]));
        const wanted = one.saved.fieldConfig.overrides.flatMap((override) =>
          override.properties.filter((it) => it.id === 'displayName').map((it) => it.value)
        );
        assert.deepEqual(titles, wanted);
        for (const field of frame.fields) {
          assert.ok(!field.config.unit || units.has(field.config.unit), field.config.unit);
        }
        const sort = one.saved.transformations.find((it) => it.id === 'sortBy');
        if (sort) {
          const { field: by, desc } = sort.options.sort[0];
          const column = valuesOf(frame.fields.find((field) => field.name === by));
          const known = column.filter((value) => value !== null);
          const ordered = [...known].sort((a, b) => (desc ? b - a : a - b));
          assert.deepEqual(known, ordered);
        }
        const limit = one.saved.transformations.find((it) => it.id === 'limit');
        if (limit) {
          const column = frame.fields.find((field) => field.name === sort.options.sort[0].field);
          assert.ok(frame.length <= limit.options.limitField);
          assert.notEqual(valuesOf(column)[0], null, 'what has no value stands before what has');
        }
      });
    }

    for (const one of panels.filter((panel) => ['stat', 'bargauge'].includes(panel.saved.type))) {
      if (one.request.of !== 'infinity') continue;
      test(`one value is found by its column: ${label(one)}`, () => {
        const [frame] = framesOf(grafana, one);
        const wanted = grafana.stringToJsRegex(one.saved.options.reduceOptions.fields);
        const found = frame.fields.filter((field) => wanted.test(field.name));
        assert.equal(found.length, 1);
      });
    }

    test('units of the JSON door are units Grafana has', () => {
      const frames = panels.filter((one) => one.request.of === 'simpod').flatMap((one) => framesOf(grafana, one));
      const told = frames.flatMap((frame) => frame.fields).filter((field) => field.config.unit);
      assert.ok(told.length > 0);
      const strange = told.map((field) => field.config.unit).filter((unit) => !units.has(unit));
      assert.deepEqual([...new Set(strange)], UNKNOWN[version]);
    });

    test('units of the dashboards are units Grafana has', () => {
      for (const { board } of walks) {
        for (const panel of board.panels) {
          const { unit } = panel.fieldConfig?.defaults ?? {};
          assert.ok(!unit || units.has(unit), `${panel.title}: ${unit}`);
        }
      }
    });

    for (const one of asked.filter((it) => it.kind === 'variable')) {
      test(`variables have texts and values: ${label(one)} ${one.title}`, () => {
        const frames = one.request.of === 'simpod' ? [grafana.toDataFrame(one.answer)] : framesOf(grafana, one);
        const [frame] = frames;
        const names = frame.fields.map((field) => field.name);
        const columns = ['__text', '__value'];
        assert.deepEqual(names.filter((name) => columns.includes(name)).sort(), columns);
        for (const field of frame.fields) {
          assert.ok(valuesOf(field).every((value) => typeof value === 'string' && value !== ''));
        }
      });
    }

    for (const one of asked.filter((it) => it.kind === 'annotation')) {
      test(`annotations have time, title and text: ${label(one)} ${one.title}`, () => {
        const [frame] = framesOf(grafana, one);
        const types = Object.fromEntries(frame.fields.map((field) => [field.name, field.type]));
        assert.equal(types.time, FieldType.time);
        assert.equal(types.timeEnd, FieldType.time);
        for (const name of ['title', 'text', 'tags']) {
          assert.equal(types[name], FieldType.string, name);
        }
        assert.ok(frame.length > 0);
      });
    }

    describe('SimpleJSON', () => {
      const series = framesOf(grafana, simplejson.series);
      const [table] = framesOf(grafana, simplejson.table);

      test('series have labels, units and names', () => {
        assert.ok(series.length > 1);
        for (const [index, frame] of series.entries()) {
          const value = frame.fields[1];
          assert.equal(frame.fields[0].type, FieldType.time);
          assert.deepEqual({ ...value.labels }, simplejson.series.answer[index].tags);
          assert.equal(value.config.unit, 'percent');
          assert.equal(getFieldDisplayName(value, frame, series), simplejson.series.answer[index].title);
        }
      });

      test('a machine that fell silent leaves a gap', () => {
        const silent = series.find((frame) => frame.fields[1].labels.vm_name === 'fax-gateway');
        const numbers = valuesOf(silent.fields[1]);
        const first = numbers.findIndex((value) => value !== null);
        const last = numbers.findLastIndex((value) => value !== null);
        assert.ok(numbers.slice(first, last).includes(null));
      });

      test('columns keep their types', () => {
        const types = Object.fromEntries(table.fields.map((field) => [field.name, field.type]));
        assert.equal(types.name, FieldType.string);
        assert.equal(types.cpu_usage_percent, FieldType.number);
        assert.equal(types.backup_last, FieldType.time);
        assert.equal(types.hidden, FieldType.boolean);
        const cpu = table.fields.find((field) => field.name === 'cpu_usage_percent');
        assert.equal(cpu.config.unit, 'percent');
      });

      test('annotations have what the plugin takes', () => {
        assert.ok(simplejson.annotations.length > 0);
        for (const one of simplejson.annotations) {
          assert.ok(Number.isInteger(one.time) && one.title && Array.isArray(one.tags));
        }
      });

      test('options are never empty, which the plugin takes for objects', () => {
        assert.ok(simplejson.options.length > 0);
        assert.ok(simplejson.options.every((one) => one && one.text && one.value));
      });
    });
  });
}

describe('gaps', () => {
  const grafana = VERSIONS[13];
  const { series } = JSON.parse(readFileSync(process.env.GRAFANA_ANSWERS, 'utf8')).gaps;

  function nulls(frame) {
    const numbers = valuesOf(frame.fields[1]);
    const first = numbers.findIndex((value) => value !== null && value !== undefined);
    return numbers.slice(first).filter((value) => value === null).length;
  }

  function plotted(one, insertNulls) {
    const [frame] = framesOf(grafana, one);
    frame.fields[1].config = { ...frame.fields[1].config, custom: { insertNulls } };
    return applyNullInsertThreshold({ frame });
  }

  test('without the fill nothing would break the line', () => {
    const frame = plotted(series.unfilled, undefined);
    assert.equal(nulls(frame), 0);
  });

  test('in the browser the fill does', () => {
    assert.ok(nulls(plotted(series.browser, undefined)) > 0);
  });

  test('from the server the silence does, when it is longer than the threshold', () => {
    const { insertNulls } = series.server;
    assert.equal(nulls(plotted(series.server, undefined)), 0);
    assert.ok(nulls(plotted(series.server, insertNulls)) > 0);
  });

  test('an unbroken line stays unbroken', () => {
    assert.equal(nulls(plotted(series.steady, series.server.insertNulls)), 0);
  });
});
