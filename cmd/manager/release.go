package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/quorate/quorate/api/v1alpha1"
)

// releaseCommand takes our finalizers off everything. It is for the end: once no manager runs any more, nobody else would, and what
// is deleted then would hang.
func releaseCommand(opts *Options) *cobra.Command {
	return &cobra.Command{
		Use:   "release-finalizers",
		Short: "Take Quorate's finalizers off all objects, before the last manager is removed for good",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, _, err := restConfig(*opts)
			if err != nil {
				return err
			}
			scheme := runtime.NewScheme()
			if err := v1alpha1.AddToScheme(scheme); err != nil {
				return fmt.Errorf("registering kinds: %w", err)
			}
			c, err := client.New(cfg, client.Options{Scheme: scheme})
			if err != nil {
				return fmt.Errorf("making a client of the API server: %w", err)
			}
			return releaseFinalizers(cmd.Context(), c, func(line string) { cmd.Println(line) })
		},
	}
}

// releaseFinalizers takes our finalizers off all objects and tells of each.
func releaseFinalizers(ctx context.Context, c client.Client, tell func(string)) error {
	var (
		groups    v1alpha1.ResourceGroupList
		resources v1alpha1.ResourceList
		nodes     v1alpha1.NodeList
		objects   []client.Object
	)
	for _, list := range []client.ObjectList{&groups, &resources, &nodes} {
		if err := c.List(ctx, list); err != nil {
			return fmt.Errorf("listing objects to release: %w", err)
		}
	}
	for i := range groups.Items {
		objects = append(objects, &groups.Items[i])
	}
	for i := range resources.Items {
		objects = append(objects, &resources.Items[i])
	}
	for i := range nodes.Items {
		objects = append(objects, &nodes.Items[i])
	}
	for _, o := range objects {
		before := o.DeepCopyObject().(client.Object)
		first := controllerutil.RemoveFinalizer(o, v1alpha1.OfflineFirstFinalizer)
		if second := controllerutil.RemoveFinalizer(o, v1alpha1.DepartureFinalizer); !first && !second {
			continue
		}
		if err := c.Patch(ctx, o, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("releasing %s %s: %w", kindOf(o), client.ObjectKeyFromObject(o), err)
		}
		tell("released " + kindOf(o) + " " + strings.TrimPrefix(client.ObjectKeyFromObject(o).String(), "/"))
	}
	return nil
}

func kindOf(o client.Object) string {
	switch o.(type) {
	case *v1alpha1.ResourceGroup:
		return "ResourceGroup"
	case *v1alpha1.Resource:
		return "Resource"
	}
	return "Node"
}
