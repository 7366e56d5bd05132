package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

const everyMs = 60_000

// series has had its value every minute for AgeS seconds, before that Before if it is given;
// if it flaps, it has had both in turns.
type series struct {
	Labels map[string]string `json:"labels"`
	Value  float64           `json:"value"`
	Before *float64          `json:"before"`
	AgeS   int64             `json:"age_s"`
	Flaps  bool              `json:"flaps"`
	labels labels.Labels
}

// world is what Prometheus has stored at Now, epoch seconds.
type world struct {
	Now    int64    `json:"now"`
	Series []series `json:"series"`
}

type alert struct {
	Alert  string            `json:"alert"`
	Labels map[string]string `json:"labels"`
	Value  float64           `json:"value"`
}

// fire prints, as JSON, what the expressions of all rules give in a world; "for" is not waited for.
func fire(files []string, in io.Reader, out io.Writer) error {
	var known world
	if err := json.NewDecoder(in).Decode(&known); err != nil {
		return err
	}
	for i := range known.Series {
		known.Series[i].labels = labels.FromMap(known.Series[i].Labels)
	}
	engine := promql.NewEngine(promql.EngineOpts{
		MaxSamples: 50_000_000, Timeout: time.Minute, LookbackDelta: 5 * time.Minute,
	})
	fired := []alert{}
	for _, file := range files {
		groups, problems := rulefmt.ParseFile(file, false, model.LegacyValidation, newParser(), slog.Default())
		if len(problems) > 0 {
			return problems[0]
		}
		for _, group := range groups.Groups {
			for _, rule := range group.Rules {
				found, err := known.ask(engine, rule.Expr)
				if err != nil {
					return fmt.Errorf("%s: %w", rule.Alert, err)
				}
				for _, sample := range found {
					fired = append(fired, alert{rule.Alert, sample.Metric.Map(), sample.F})
				}
			}
		}
	}
	return json.NewEncoder(out).Encode(fired)
}

func newParser() parser.Parser { return parser.NewParser(parser.Options{}) }

func (known world) ask(engine *promql.Engine, expr string) (promql.Vector, error) {
	query, err := engine.NewInstantQuery(context.Background(), known, nil, expr, time.Unix(known.Now, 0))
	if err != nil {
		return nil, err
	}
	defer query.Close()
	result := query.Exec(context.Background())
	found, err := result.Vector()
	return append(promql.Vector{}, found...), err
}

// Querier makes a world something that can be asked.
func (known world) Querier(from, to int64) (storage.Querier, error) {
	return &storage.MockQuerier{SelectMockFunction: func(
		_ bool, hints *storage.SelectHints, matchers ...*labels.Matcher,
	) storage.SeriesSet {
		if hints != nil {
			from, to = hints.Start, hints.End
		}
		found := &set{at: -1}
		for _, one := range known.Series {
			if matches(one.labels, matchers) {
				found.series = append(found.series, storage.NewListSeries(one.labels, one.points(known.Now, from, to)))
			}
		}
		return found
	}}, nil
}

func matches(having labels.Labels, matchers []*labels.Matcher) bool {
	for _, matcher := range matchers {
		if !matcher.Matches(having.Get(matcher.Name)) {
			return false
		}
	}
	return true
}

func (one series) points(now, from, to int64) []chunks.Sample {
	var found []chunks.Sample
	since := (now - one.AgeS) * 1000
	for at := from - from%everyMs; at <= min(to, now*1000); at += everyMs {
		switch {
		case at < from:
		case at >= since && !(one.Flaps && at/everyMs%2 == 0):
			found = append(found, point{at, one.Value})
		case one.Before != nil:
			found = append(found, point{at, *one.Before})
		}
	}
	return found
}

type set struct {
	series []storage.Series
	at     int
}

func (s *set) Next() bool                      { s.at++; return s.at < len(s.series) }
func (s *set) At() storage.Series              { return s.series[s.at] }
func (*set) Err() error                        { return nil }
func (*set) Warnings() annotations.Annotations { return nil }

type point struct {
	at    int64
	value float64
}

func (p point) T() int64                    { return p.at }
func (point) ST() int64                     { return 0 }
func (p point) F() float64                  { return p.value }
func (point) H() *histogram.Histogram       { return nil }
func (point) FH() *histogram.FloatHistogram { return nil }
func (point) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (p point) Copy() chunks.Sample         { return p }
