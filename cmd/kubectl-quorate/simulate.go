package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/pkg/audit/report"
	"github.com/quorate/quorate/pkg/manifest"
	"github.com/quorate/quorate/pkg/snapshot"
	"github.com/quorate/quorate/pkg/whatif"
	"github.com/quorate/quorate/pkg/whatif/show"
)

// errOutcome carries the exit code of a what-if that was carried out.
type errOutcome int

func (e errOutcome) Error() string { return fmt.Sprintf("the outcome has exit code %d", int(e)) }

// errInput says that the input was bad: exit code 1.
type errInput struct{ error }

func (e errInput) Unwrap() error { return e.error }

// simulateOptions are the flags of `simulate`.
type simulateOptions struct {
	input
	events         []string
	output         string
	single, double bool
}

func simulateCommand(a *access) *cobra.Command {
	o := &simulateOptions{input: input{access: a}}
	c := &cobra.Command{
		Use:     "simulate",
		GroupID: "look",
		Aliases: []string{"what-if"},
		Short:   "Say what would happen, before it does",
		Long: `Runs the code that decides in the managers over manifests (-f, no cluster is needed) or over the live cluster (without -f), lets events
happen one after the other, and tells of each what follows until nothing does any more. Nothing is written anywhere.

Events:
` + eventHelp() + `
Nodes without a status are up, and get their ids in the order of their names. A group that is not online anywhere is absent from the
placement. --all-single-failures and --all-double-failures try every node, and every pair at the same moment, each from where the events
have led.

Exit code 0: every group that is wanted is online; 3: one is not; 4: there is no quorum; 1: bad input. With the all-failures flags the
worst of all cases counts.`,
		Example: `  kubectl quorate simulate -f config/samples/demo --event node-down=node-a --event node-up=node-a
  kubectl quorate simulate -f config/samples/demo --all-single-failures --all-double-failures
  kubectl quorate simulate --event apply=new-group.yaml --event move=demo/shop:node-b -o json
  kubectl quorate simulate -f cluster/ --event at=2026-03-29T01:30:00+01:00 --event node-up=node-a --event wait=6h`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c) },
	}
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return errInput{err} })
	f := c.Flags()
	o.add(f)
	f.StringArrayVar(&o.events, "event", nil, "something that happens (repeat, in order)")
	f.StringVarP(&o.output, "output", "o", report.Table, "table, json or yaml")
	f.BoolVar(&o.single, "all-single-failures", false, "try the failure of every node")
	f.BoolVar(&o.double, "all-double-failures", false, "try the failure of every two nodes at once")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(report.Formats, cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("event", o.completeEvents)
	return c
}

func eventHelp() string {
	var b strings.Builder
	for _, k := range whatif.Kinds {
		fmt.Fprintf(&b, "  %-42s %s\n", string(k.Kind)+"="+k.Value, k.Does)
	}
	return b.String()
}

func (o *simulateOptions) run(c *cobra.Command) error {
	if err := report.CheckFormat(o.output); err != nil {
		return errInput{err}
	}
	objects, err := o.read(c)
	bad, mistakes := errors.AsType[problems](err)
	if err != nil && !mistakes {
		return err
	}
	events, wrong := o.parse(c, objects)
	if bad = append(bad, wrong...); len(bad) > 0 {
		return errInput{bad}
	}
	world := whatif.New(whatif.Options{Objects: objects, Now: clock(), Live: o.live()})
	result, err := world.Run(events)
	if err != nil {
		return errInput{err}
	}
	judged := result.Steps[len(result.Steps)-1:]
	var cases []whatif.Step
	if o.single || o.double {
		if cases, err = world.Failures(o.single, o.double); err != nil {
			return errInput{err}
		}
		judged = append(judged[:1:1], cases...)
	}
	if err := o.print(c.OutOrStdout(), result, cases); err != nil {
		return err
	}
	if code := whatif.ExitCode(judged...); code != 0 {
		return errOutcome(code)
	}
	return nil
}

// print writes the outcome. For programs the cases are steps like the others, after them.
func (o *simulateOptions) print(out io.Writer, result *whatif.Result, cases []whatif.Step) error {
	switch {
	case o.output != report.Table:
		result.Steps = append(result.Steps, cases...)
		return report.Value(out, result, o.output)
	case len(cases) == 0:
		return show.Result(out, result)
	}
	if len(result.Steps) > 1 || len(result.Unplaced) > 0 || !result.Steps[0].Quorate {
		if err := show.Result(out, result); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(out); err != nil {
			return err
		}
	}
	return show.Cases(out, cases)
}

// parse reads the events, with the files that they apply, and finds everything that is wrong with them, in their order.
func (o *simulateOptions) parse(c *cobra.Command, objects *snapshot.Objects) ([]whatif.Event, problems) {
	var events []whatif.Event
	wrong := make([]problems, len(o.events))
	sets := map[string]*manifest.Set{}
	for i, text := range o.events {
		e, err := whatif.ParseEvent(text)
		if err != nil {
			wrong[i] = append(wrong[i], err.Error())
			continue
		}
		if e.Kind == whatif.Apply && objects != nil {
			sets[text], wrong[i] = o.readApplied(c, objects, &e)
		}
		events = append(events, e)
	}
	if objects != nil {
		for _, p := range whatif.Prepare(objects, events) {
			text := p.Message
			if set := sets[p.Event]; set != nil && p.Finding != nil {
				text = set.Problem(*p.Finding).String()
			}
			i := slices.Index(o.events, p.Event)
			wrong[i] = append(wrong[i], fmt.Sprintf("event %q: %s", p.Event, text))
		}
	}
	return events, slices.Concat(wrong...)
}

func (o *simulateOptions) readApplied(c *cobra.Command, objects *snapshot.Objects, e *whatif.Event) (*manifest.Set, problems) {
	sources, err := sourcesOf([]string{e.File}, c.InOrStdin())
	if err != nil {
		return nil, problems{fmt.Sprintf("event %q: %s", e.Text, strings.TrimPrefix(err.Error(), "flag -f: "))}
	}
	set, found := manifest.Read(sources, manifest.Options{Namespace: o.namespace, Old: o.old(objects)})
	var wrong problems
	for _, p := range found {
		wrong = append(wrong, fmt.Sprintf("event %q: %s", e.Text, p))
	}
	for _, p := range set.Strays([]string{objects.Name}) {
		wrong = append(wrong, fmt.Sprintf("event %q: %s", e.Text, p))
	}
	e.Objects = set.Objects(objects.Name, true)
	return set, wrong
}

// completeEvents offers the events, and after the "=" the nodes, groups and resources of the cluster.
func (o *simulateOptions) completeEvents(c *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	kind, _, begun := strings.Cut(typed, "=")
	if !begun {
		var offers []string
		for _, k := range whatif.Kinds {
			offers = append(offers, string(k.Kind)+"=\t"+k.Does)
		}
		return offers, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
	}
	objects, err := o.read(c)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return whatif.Complete(objects, whatif.EventKind(kind)), cobra.ShellCompDirectiveNoFileComp
}
