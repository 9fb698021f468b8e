package nodeagent

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/vishvananda/netlink"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/heartbeat"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/runstate"
	"github.com/quorate/quorate/pkg/snapshot"
)

const (
	surveyInterval = 5 * time.Second
	// surveyPatience is how long a look at disks and tools may take; a disk that hangs longer is shown as it was.
	surveyPatience = 4 * time.Second
)

// surveyor looks from time to time at what the host has: interfaces, disks and images that groups need, tools.
type surveyor struct {
	log      logr.Logger
	types    *resourcetype.Registry
	cluster  string
	world    func() *world
	settings func() *Settings
	problems *problems
	changed  func()
	// wake has a look begin now.
	wake chan struct{}

	busy sync.Mutex

	// carrier is the shown state of each network's interface. It belongs to run.
	carrier map[string]*heartbeat.Hysteresis

	mu         sync.Mutex
	interfaces []v1alpha1.AgentInterface
	disks      []v1alpha1.AgentDisk
	images     []v1alpha1.AgentImage
	// named are the images of all containers of the cluster at the last look.
	named map[string]bool
}

// touched has a look begin at once when a resource names an image that none has named before: until then nobody knows that it is missing
// here, and its group may be sent here. nil stands for all objects.
func (s *surveyor) touched(obj client.Object) {
	if r, ok := obj.(*v1alpha1.Resource); ok && (r.Spec.Container == nil || s.knows(r.Spec.Container.Image)) || !ok && obj != nil {
		return
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *surveyor) knows(image string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.named[image]
}

func (s *surveyor) seen() ([]v1alpha1.AgentInterface, []v1alpha1.AgentDisk, []v1alpha1.AgentImage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.interfaces, s.disks, s.images
}

// run looks until ctx ends.
func (s *surveyor) run(ctx context.Context) {
	ticker := time.NewTicker(surveyInterval)
	defer ticker.Stop()
	for {
		s.lookAtInterfaces()
		s.lookAtNeeds(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-s.wake:
		}
	}
}

// lookAtInterfaces finds the interface of each network on which this node has an address.
func (s *surveyor) lookAtInterfaces() {
	settings := s.settings()
	if settings == nil {
		return
	}
	own := map[string]string{}
	for _, n := range settings.Nodes {
		if n.ID == settings.Self {
			own = n.Addresses
		}
	}
	byAddress, err := interfacesByAddress()
	if err != nil {
		s.log.Error(err, "The host's interfaces cannot be listed")
		return
	}
	var list []v1alpha1.AgentInterface
	for network, address := range own {
		ip, err := netip.ParseAddr(address)
		if err != nil {
			continue
		}
		entry := v1alpha1.AgentInterface{Network: network}
		i, found := byAddress[ip]
		entry.Name = i.Name
		entry.State = s.carrierState(network, found && i.Flags&net.FlagUp != 0 && i.Flags&net.FlagRunning != 0)
		list = append(list, entry)
	}
	slices.SortFunc(list, func(a, b v1alpha1.AgentInterface) int { return cmp.Compare(a.Network, b.Network) })
	s.mu.Lock()
	same := slices.Equal(s.interfaces, list)
	s.interfaces = list
	s.mu.Unlock()
	if !same {
		s.changed()
	}
}

// carrierState keeps an interface that flaps from being shown as often as it does.
func (s *surveyor) carrierState(network string, well bool) v1alpha1.LinkState {
	if s.carrier == nil {
		s.carrier = map[string]*heartbeat.Hysteresis{}
	}
	if s.carrier[network] == nil {
		s.carrier[network] = &heartbeat.Hysteresis{}
	}
	h, now := s.carrier[network], runstate.BootTime()
	if well {
		h.Well(now, 0)
	} else {
		h.Ill(now)
	}
	if h.Up() {
		return v1alpha1.LinkUp
	}
	return v1alpha1.LinkDown
}

// interfacesByAddress are the interfaces that have addresses, by each of those.
func interfacesByAddress() (map[netip.Addr]net.Interface, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	byIndex := make(map[int]net.Interface, len(interfaces))
	for _, i := range interfaces {
		byIndex[i.Index] = i
	}
	// One list of them all: net.Interface asks for that once for each interface, and there may be a thousand addresses.
	addresses, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("listing the addresses of this host: %w", err)
	}
	out := make(map[netip.Addr]net.Interface, len(addresses))
	for _, a := range addresses {
		ip, valid := netip.AddrFromSlice(a.IP)
		if i, found := byIndex[a.LinkIndex]; found && valid {
			out[ip.Unmap()] = i
		}
	}
	return out, nil
}

// lookAtNeeds asks the types what this host lacks for the cluster's resources. A look that hangs on a disk is left behind, and no
// other one begins before it returns.
func (s *surveyor) lookAtNeeds(ctx context.Context) {
	w := s.world()
	if w == nil || !s.busy.TryLock() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, surveyPatience)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer s.busy.Unlock()
		defer cancel()
		s.check(ctx, w)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

func (s *surveyor) check(ctx context.Context, w *world) {
	resources, err := w.resourcesOfCluster(ctx, s.cluster)
	if err != nil {
		s.log.Error(err, "The host is not compared with what resources need")
		return
	}
	found := &findings{disks: map[string]v1alpha1.AgentDisk{}, images: stock{}}
	owners, named := ownersOf(resources), map[string]bool{}
	for _, r := range resources {
		if r.Spec.Container != nil {
			named[r.Spec.Container.Image] = true
		}
		if needsImageHere(&r.Spec, owners[snapshot.GroupKeyOf(r)], s.settings()) {
			s.look(ctx, r, found)
		}
	}
	if ctx.Err() != nil {
		return // what was told under pressure of time may be wrong
	}
	s.problems.set("survey", found.problems)
	disks := make([]v1alpha1.AgentDisk, 0, len(found.disks))
	for _, d := range found.disks {
		disks = append(disks, d)
	}
	slices.SortFunc(disks, func(a, b v1alpha1.AgentDisk) int { return cmp.Compare(a.Device, b.Device) })
	images := found.images.list()
	s.mu.Lock()
	same := reflect.DeepEqual(s.disks, disks) && slices.Equal(s.images, images)
	s.disks, s.images, s.named = disks, images, named
	s.mu.Unlock()
	if !same {
		s.changed()
	}
}

// findings are what a look at the host gives.
type findings struct {
	problems []v1alpha1.AgentProblem
	disks    map[string]v1alpha1.AgentDisk
	images   stock
}

// look finds out what the host has, and lacks, of what one resource needs.
func (s *surveyor) look(ctx context.Context, r *v1alpha1.Resource, found *findings) {
	t, err := s.types.Get(string(r.Spec.Type))
	if err != nil {
		return // validation has said so already
	}
	checker, ok := t.(resourcetype.Checker)
	if !ok {
		return
	}
	spec, err := json.Marshal(r.Spec)
	if err != nil {
		return
	}
	device := deviceOf(&r.Spec)
	disk := v1alpha1.AgentDisk{Device: device, Visible: true}
	for _, p := range checker.Check(ctx, spec) {
		found.problems = append(found.problems, v1alpha1.AgentProblem{Reason: problemReason(p.Reason), Object: p.Object, Message: p.Message})
		if p.Reason == resourcetype.ReasonDeviceMissing {
			disk.Visible, disk.Message = false, cut(p.Message, maxProblemText)
		}
	}
	if device != "" {
		found.disks[device] = disk
	}
	if imager, ok := t.(resourcetype.Imager); ok {
		found.images.add(imager.Image(ctx, spec))
	}
}

func deviceOf(spec *v1alpha1.ResourceSpec) string {
	switch {
	case spec.LoopbackDisk != nil:
		return spec.LoopbackDisk.File
	case spec.PhysicalDisk != nil:
		return spec.PhysicalDisk.Device
	default:
		return ""
	}
}

// problemReason translates the resource types' words into the API's.
func problemReason(reason string) string {
	switch reason {
	case resourcetype.ReasonToolMissing:
		return v1alpha1.ProblemMissingTool
	case resourcetype.ReasonDeviceMissing:
		return v1alpha1.ProblemMissingDevice
	case resourcetype.ReasonImageMissing:
		return v1alpha1.ProblemMissingImage
	default:
		return reason
	}
}
