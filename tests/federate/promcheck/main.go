// Promcheck holds expositions and rule files to Prometheus' own rules.
//
//	promcheck metrics < exposition   what "promtool check metrics" says of it
//	promcheck rules FILE...          whether Prometheus would load these files
//	promcheck fire FILE... < world   which alerts their expressions give in a world of series
//
// It prints one problem a line and exits with 1 if there is any.
package main

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
)

func main() {
	problems, err := check(os.Args[1:])
	if err != nil {
		problems = append(problems, err.Error())
	}
	for _, problem := range problems {
		fmt.Println(problem)
	}
	if len(problems) > 0 {
		os.Exit(1)
	}
}

func check(arguments []string) ([]string, error) {
	if len(arguments) == 1 && arguments[0] == "metrics" {
		return lint()
	}
	if len(arguments) > 1 && arguments[0] == "rules" {
		return rules(arguments[1:]), nil
	}
	if len(arguments) > 1 && arguments[0] == "fire" {
		return nil, fire(arguments[1:], os.Stdin, os.Stdout)
	}
	return nil, fmt.Errorf("usage: promcheck metrics < exposition, rules FILE..., or fire FILE... < world")
}

func lint() ([]string, error) {
	found, err := promlint.New(os.Stdin).Lint()
	problems := make([]string, 0, len(found))
	for _, problem := range found {
		problems = append(problems, problem.Metric+": "+problem.Text)
	}
	return problems, err
}

func rules(files []string) []string {
	var problems []string
	for _, file := range files {
		_, errors := rulefmt.ParseFile(file, false, model.LegacyValidation, newParser(), slog.Default())
		for _, err := range errors {
			problems = append(problems, file+": "+err.Error())
		}
	}
	return problems
}
