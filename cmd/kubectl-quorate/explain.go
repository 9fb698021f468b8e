package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/pkg/audit/report"
	"github.com/quorate/quorate/pkg/explain"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/policy"
	"github.com/quorate/quorate/pkg/replay"
	"github.com/quorate/quorate/pkg/snapshot"
	"github.com/quorate/quorate/pkg/whatif"
	"github.com/quorate/quorate/pkg/whatif/show"
)

// exitDiffers is the exit code of a replay that decides otherwise than it is recorded.
const exitDiffers = 3

// explainOptions are the flags of `explain`.
type explainOptions struct {
	input
	output, node, save, replay string
}

func explainCommand(a *access) *cobra.Command {
	o := &explainOptions{input: input{access: a}}
	c := &cobra.Command{
		Use:     "explain rg/NAME",
		GroupID: "look",
		Short:   "Say of every node why a group is, or is not, or may not be there",
		Long: `Shows a group, what it waits for, and the verdict on every node, by the code that decides in the managers: whether the node may take the
group, in which order they would be asked if the owner failed, and if not why not, with the objects that are in the way.

With -f the group is where the manifests alone would put it; without, it is asked of the live cluster. --save writes what a decision
would be made from now to a file; with -f that is the first one, before anything runs. --replay reads such a file, or one that a manager has kept (quorate-manager run with
--decisions-dir), decides again and says whether that agrees with what was decided then; a group beside it is explained as it was then.

Exit code 0; 3: the replay decides otherwise; 1: bad input; 2: it could not be told.`,
		Example: `  kubectl quorate explain rg/shop -n demo
  kubectl quorate explain rg/shop -n demo --node node-c -o yaml
  kubectl quorate explain rg/shop -n demo -f config/samples/demo
  kubectl quorate explain --save now.json.gz; kubectl quorate explain --replay now.json.gz rg/shop -n demo`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return o.run(c, args) },
	}
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return errInput{err} })
	f := c.Flags()
	o.add(f)
	f.StringVar(&o.node, "node", "", "only this node")
	f.StringVarP(&o.output, "output", "o", report.Table, "table, json or yaml")
	f.StringVar(&o.save, "save", "", "write the inputs of a decision made now to this file")
	f.StringVar(&o.replay, "replay", "", "file with the inputs of a decision")
	c.MarkFlagsMutuallyExclusive("replay", "save")
	c.MarkFlagsMutuallyExclusive("replay", "filename")
	c.ValidArgsFunction = o.completeGroups
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(report.Formats, cobra.ShellCompDirectiveNoFileComp))
	return c
}

func (o *explainOptions) run(c *cobra.Command, args []string) error {
	if err := report.CheckFormat(o.output); err != nil {
		return errInput{err}
	}
	if len(args) == 0 && o.save == "" && o.replay == "" {
		return errInput{errors.New("name a group, such as rg/shop, or give --save or --replay")}
	}
	if o.replay != "" {
		return o.runReplay(c.OutOrStdout(), args)
	}
	objects, err := o.read(c)
	if mistakes, bad := errors.AsType[problems](err); bad {
		return errInput{mistakes}
	}
	if err != nil {
		return err
	}
	world := whatif.New(whatif.Options{Objects: objects, Now: clock(), Live: o.live()})
	if o.save != "" {
		s := world.Snapshot()
		if err := o.write(replay.New(s, world.Now(), policy.Plan(s, world.Now()).Decisions)); err != nil {
			return err
		}
	}
	if len(args) == 0 {
		return nil
	}
	if !o.live() {
		if _, err := world.Start(); err != nil {
			return err
		}
	}
	s := world.Snapshot()
	return o.explain(c.OutOrStdout(), s, policy.Plan(s, world.Now()), &replay.Record{Time: world.Now()}, args[0])
}

// write saves a record under the name that was asked for.
func (o *explainOptions) write(record *replay.Record) error {
	file, err := os.OpenFile(o.save, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return errInput{fmt.Errorf("flag --save: %w", err)}
	}
	return errors.Join(record.Write(file), file.Close())
}

// explain shows one group of a snapshot.
func (o *explainOptions) explain(out io.Writer, s *model.Snapshot, plan policy.Result, at *replay.Record, arg string) error {
	key, err := o.group(s, arg)
	if err != nil {
		return errInput{err}
	}
	e := explain.Of(s, key, plan, policy.Explain(s, key, at.Time))
	if err := e.Only(o.node); err != nil {
		return errInput{fmt.Errorf("flag --node: %w", err)}
	}
	if o.output == report.Table {
		return explain.Write(out, e)
	}
	return report.Value(out, e, o.output)
}

// group finds the group that is named: rg/NAME or NAME in the namespace of the flag, or else in the only one that has it.
func (o *explainOptions) group(s *model.Snapshot, arg string) (model.GroupKey, error) {
	name, err := explain.ParseGroup(arg)
	if err != nil {
		return model.GroupKey{}, err
	}
	keys := make([]model.GroupKey, 0, len(s.Groups))
	for i := range s.Groups {
		keys = append(keys, s.Groups[i].Key)
	}
	return explain.Find(keys, o.namespace, name)
}

// runReplay decides again what a file has recorded.
func (o *explainOptions) runReplay(out io.Writer, args []string) error {
	file, err := os.Open(o.replay)
	if err != nil {
		return errInput{fmt.Errorf("flag --replay: %w", err)}
	}
	record, err := replay.Read(file)
	_ = file.Close() // it was only read
	if err != nil {
		return errInput{fmt.Errorf("flag --replay: %s: %w", o.replay, err)}
	}
	result, differences := record.Replay()
	if len(args) > 0 {
		return o.explain(out, record.Snapshot, result, record, args[0])
	}
	r := show.NewReplay(record, result.Decisions, differences)
	if o.output == report.Table {
		err = show.Replayed(out, r)
	} else {
		err = report.Value(out, r, o.output)
	}
	if err == nil && !r.Agrees {
		return errOutcome(exitDiffers)
	}
	return err
}

// completeGroups offers the groups.
func (o *explainOptions) completeGroups(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	objects, err := o.read(c)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var offers []string
	for _, g := range objects.Groups {
		if o.namespace == "" || g.Namespace == o.namespace {
			offers = append(offers, "rg/"+snapshot.Key(g).Name)
		}
	}
	return offers, cobra.ShellCompDirectiveNoFileComp
}
