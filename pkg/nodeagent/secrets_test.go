package nodeagent

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-logr/logr/testr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
)

// from is a variable that comes from a Secret.
func from(name, secret, key string) v1alpha1.EnvVar {
	return v1alpha1.EnvVar{Name: name, ValueFrom: &v1alpha1.EnvVarSource{SecretKeyRef: v1alpha1.SecretKeyReference{Name: secret, Key: key}}}
}

// TestVariables: variables have what their Secrets say, where their group may run; what is wrong with a Secret is told before it is needed, and
// nothing that is in it.
func TestVariables(t *testing.T) {
	resource := func(name, group string, owners []string, env ...v1alpha1.EnvVar) *v1alpha1.Resource {
		r := &v1alpha1.Resource{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Spec: v1alpha1.ResourceSpec{GroupName: group, PossibleOwners: owners}}
		r.Spec.GenericApplication = &v1alpha1.GenericApplication{Command: []string{"/a"}, Env: env}
		return r
	}
	group := func(name string) *v1alpha1.ResourceGroup {
		return &v1alpha1.ResourceGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Spec: v1alpha1.ResourceGroupSpec{ClusterName: "prod"}}
	}
	app := resource("app", "shop", nil, v1alpha1.EnvVar{Name: "A", Value: "a"}, from("PASSWORD", "pg", "password"), from("USER", "pg", "user"))
	box := resource("box", "shop", nil)
	box.Spec.GenericApplication, box.Spec.Container = nil, &v1alpha1.Container{Image: "box", Env: []v1alpha1.EnvVar{from("KEY", "pg", "password"), from("LOST", "lost", "x")}}
	secret := func(name string, data map[string][]byte) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Data: data}
	}
	b := newBench(t, group("shop"), group("far"), app, box, resource("far", "far", []string{"b"}, from("X", "far", "x")),
		secret("pg", map[string][]byte{"password": []byte("hidden"), "user": []byte("app"), "binary": {0}}), secret("far", map[string][]byte{"x": []byte("y")}))
	w := &world{cached: b.api, direct: b.api}
	v := &vault{
		log: testr.New(t), cluster: "prod", world: func() *world { return w }, settings: func() *Settings { return &Settings{NodeName: "a"} },
		path: filepath.Join(t.TempDir(), secretsFile), problems: newProblems(func() {}),
	}
	v.load()
	// A start before the first round reads what it needs by itself; that is kept, too.
	if data, err := v.of(t.Context(), "shop", "pg"); err != nil || len(data) == 0 {
		t.Errorf("before the first round: %v", err)
	}
	if !v.refresh(t.Context(), w) || v.known["shop/far"] != nil || v.known["shop/pg"] == nil {
		t.Errorf("known are %d Secrets, one of them of a group that never runs here: %t", len(v.known), v.known["shop/far"] != nil)
	}
	if list := v.problems.list(); len(list) != 1 || list[0].Reason != v1alpha1.ProblemSecret || list[0].Object != "shop/lost" || !strings.Contains(list[0].Message, "agents need a Role") {
		t.Errorf("problems: %+v", list)
	}
	if kept, err := readJSON[map[string]map[string][]byte](v.path); err != nil || kept == nil || (*kept)["shop/pg"] == nil {
		t.Errorf("the next agent will not know the Secret: %v", err)
	}
	for what, c := range map[string]struct {
		r    *v1alpha1.Resource
		want map[string]string
		err  string
	}{
		"all there":  {app, map[string]string{"PASSWORD": "hidden", "USER": "app"}, ""},
		"no Secret":  {box, nil, `the variable LOST comes from key x of the Secret shop/lost: reading the Secret`},
		"no key":     {resource("r", "shop", nil, from("A", "pg", "none")), nil, `it has no key "none"`},
		"zero bytes": {resource("r", "shop", nil, from("A", "pg", "binary")), nil, "zero byte"},
		"none":       {resource("r", "shop", nil), map[string]string{}, ""},
	} {
		raw, err := json.Marshal(c.r.Spec)
		if err != nil {
			t.Fatal(err)
		}
		got, err := v.variables(t.Context(), "shop", raw)
		if (err != nil) != (c.err != "") || err != nil && (!strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "hidden")) {
			t.Errorf("%s: %v, want %q", what, err, c.err)
		}
		if err == nil && (len(got) != len(c.want) || got["PASSWORD"] != c.want["PASSWORD"] || got["USER"] != c.want["USER"]) {
			t.Errorf("%s: %v", what, got)
		}
	}
}
