package polictest

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/policy/standin"
)

var buildCommands = map[string]command{
	// cluster [SETTING...]: settings of the cluster. Example: cluster anti-affinity=required
	"cluster": func(e *Env, args []string) ([]string, error) {
		return nil, settings(args, func(k, v string) error { return setCluster(&e.World.Cluster, k, v) })
	},
	// node NAME... [SETTING...]: new nodes, up, with the next ids. Example: node a b c role=standby
	"node": func(e *Env, args []string) ([]string, error) {
		names, rest := splitNames(args)
		for _, name := range names {
			h := &host{mine: map[string]*standin.Local{}}
			h.Name, h.ID = name, model.NodeID(len(e.World.hosts)+1)
			h.Role, h.Availability, h.GuardsAddresses = model.RoleActive, model.Available, true
			if err := settings(rest, func(k, v string) error { return setNode(h, k, v) }); err != nil {
				return nil, err
			}
			e.World.begin(h)
			e.World.hosts = append(e.World.hosts, h)
		}
		e.World.newView()
		return nil, nil
	},
	// group NAME... [SETTING...]: new groups with one resource. Example: group web preferred=(a,b) failback=immediate
	"group": func(e *Env, args []string) ([]string, error) {
		names, rest := splitNames(args)
		for _, name := range names {
			e.World.uids++
			g := &group{}
			g.Key, g.UID, g.Mode, g.DesiredOnline = key(name), "uid-"+strconv.Itoa(e.World.uids), model.ModeFailover, true
			g.Priority, g.FailoverThreshold, g.FailoverPeriod = 2000, 6, 10*time.Hour
			g.RetryPeriod, g.ResourceCount = time.Hour, 1
			if err := settings(rest, func(k, v string) error { return setGroup(&g.Group, k, v) }); err != nil {
				return nil, err
			}
			e.World.groups = append(e.World.groups, g)
		}
		return nil, nil
	},
	// set NAME... SETTING...: edit nodes or groups. Example: set web possible=(a,c)
	"set": func(e *Env, args []string) ([]string, error) {
		names, rest := splitNames(args)
		for _, name := range names {
			set := func(k, v string) error { return fmt.Errorf("there is nothing called %s", name) }
			if h := e.World.host(name); h != nil {
				set = func(k, v string) error { return setNode(h, k, v) }
			} else if g := e.World.group(name); g != nil {
				set = func(k, v string) error { return setGroup(&g.Group, k, v) }
			}
			if err := settings(rest, set); err != nil {
				return nil, err
			}
		}
		return nil, nil
	},
}

// splitNames separates names from settings.
func splitNames(args []string) (names, rest []string) {
	for i, a := range args {
		if strings.Contains(a, "=") {
			return args[:i], args[i:]
		}
	}
	return args, nil
}

func settings(args []string, set func(k, v string) error) error {
	for _, a := range args {
		k, v, ok := strings.Cut(a, "=")
		if !ok {
			return fmt.Errorf("%q is not of the form setting=value", a)
		}
		if err := set(k, v); err != nil {
			return err
		}
	}
	return nil
}

func setCluster(c *model.Cluster, k, v string) error {
	switch k {
	case "anti-affinity":
		c.AntiAffinityRequired = v == "required"
	case "preempt":
		c.Preempt = v == "yes"
	case "require-fencing":
		c.RequireFencing = v == "yes"
	case "maintenance":
		c.Maintenance = v == "yes"
	default:
		return fmt.Errorf("a cluster has no setting %q", k)
	}
	return nil
}

func setNode(h *host, k, v string) error {
	switch k {
	case "role":
		h.Role = map[string]model.Role{"active": model.RoleActive, "standby": model.RoleStandby}[v]
	case "availability":
		h.Availability = map[string]model.Availability{"available": model.Available, "paused": model.Paused, "drained": model.Drained}[v]
	case "on-resume":
		h.FailbackOnResume = map[string]model.FailbackOnResume{
			"none": model.ResumeNone, "immediate": model.ResumeImmediate, "policy": model.ResumePolicy,
		}[v]
	case "hides":
		h.HiddenDisks = map[string]bool{}
		for _, d := range list(v) {
			h.HiddenDisks[d] = true
		}
	case "lacks", "awaits": // of container images; an empty list has it have all
		h.LackedImages = map[string]model.ImageLack{}
		for _, image := range list(v) {
			h.LackedImages[image] = map[string]model.ImageLack{"lacks": model.ImageMissing, "awaits": model.ImageAwaited}[k]
		}
	case "capacity":
		return amounts(&h.Capacity, v)
	case "reserved":
		return amounts(&h.Reserved, v)
	case "domain":
		h.FaultDomain = v
	default:
		yes := map[string]*bool{
			"maintenance": &h.Maintenance, "quarantined": &h.Quarantined, "reported": &h.Reported, "guards": &h.GuardsAddresses,
			"power": &h.PowerFencing, "watchdog": &h.Watchdog, "force-drain": &h.ForceDrain,
		}[k]
		if yes == nil {
			return fmt.Errorf("a node has no setting %q", k)
		}
		*yes = v == "yes"
	}
	return nil
}

func setGroup(g *model.Group, k, v string) (err error) {
	switch k {
	case "preferred":
		g.PreferredOwners = list(v)
	case "possible":
		g.PossibleOwners = list(v)
		g.OwnerLists = []model.OwnerList{{Resource: "app", Owners: g.PossibleOwners}}
	case "class":
		g.AntiAffinityClasses = list(v)
	case "disks":
		g.Disks = list(v)
	case "images":
		g.Images = list(v)
	case "depends":
		g.DependsOn = nil
		for _, name := range list(v) {
			g.DependsOn = append(g.DependsOn, key(name))
		}
	case "desired":
		g.DesiredOnline = v == "online"
	case "maintenance":
		g.Maintenance = v == "yes"
	case "invalid":
		g.Invalid = strings.TrimPrefix(v, "no")
	case "mode":
		g.Mode = map[string]model.Mode{"failover": model.ModeFailover, "balanced": model.ModeLoadBalanced}[v]
	case "requests":
		return amounts(&g.Requests, v)
	case "needs-fencing":
		g.NeedsFencing = v == "yes"
	default:
		return setGroupNumber(g, k, v)
	}
	return nil
}

func setGroupNumber(g *model.Group, k, v string) (err error) {
	switch k {
	case "priority":
		g.Priority, err = strconv.Atoi(v)
	case "resources":
		g.ResourceCount, err = strconv.Atoi(v)
	case "threshold":
		g.FailoverThreshold, err = strconv.Atoi(v)
	case "period":
		g.FailoverPeriod, err = time.ParseDuration(v)
	case "retry":
		g.RetryPeriod, err = time.ParseDuration(v)
	case "elsewhere": // the epoch at which a resource of it was in another group
		var n int
		n, err = strconv.Atoi(v)
		g.EpochElsewhere = model.Epoch(n)
		g.EpochFloor = max(g.EpochFloor, g.EpochElsewhere)
	case "floor":
		var n int
		n, err = strconv.Atoi(v)
		g.EpochFloor = model.Epoch(n)
	case "failback":
		g.Failback.Policy = map[string]model.FailbackPolicy{
			"never": model.FailbackNever, "immediate": model.FailbackImmediate, "window": model.FailbackWindow,
		}[v]
	case "delay":
		g.Failback.Delay, err = time.ParseDuration(v)
	case "window":
		err = setWindow(&g.Failback, v)
	case "zone":
		g.Failback.Location, err = time.LoadLocation(v)
	default:
		return fmt.Errorf("a group has no setting %q", k)
	}
	return err
}

// setWindow reads START-END, each hh:mm or empty.
func setWindow(f *model.Failback, v string) error {
	start, end, _ := strings.Cut(v, "-")
	f.HasStart, f.HasEnd = start != "", end != ""
	for text, minute := range map[string]*int{start: &f.Start, end: &f.End} {
		if text == "" {
			continue
		}
		t, err := time.Parse("15:04", text)
		if err != nil {
			return err
		}
		*minute = t.Hour()*60 + t.Minute()
	}
	return nil
}

// list reads (a,b,c); () is an empty list that is not nil.
func list(v string) []string {
	v = strings.Trim(v, "()")
	if v == "" {
		return []string{}
	}
	return strings.Split(v, ",")
}

// amounts reads (cpu:4000,memory:1).
func amounts(to *map[string]int64, v string) error {
	*to = map[string]int64{}
	for _, item := range list(v) {
		name, text, _ := strings.Cut(item, ":")
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return err
		}
		(*to)[name] = n
	}
	return nil
}
