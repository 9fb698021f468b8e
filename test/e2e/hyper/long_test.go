package hyper

import (
	"os"
	"testing"
	"time"

	"github.com/quorate/quorate/test/e2e/beside"
)

// rounds of a long outage: in each, both groups' homes die one after the other, their groups go elsewhere and fail back. One that decides as often
// as an hour of a bad day is over in minutes.
const rounds = 6

// An outage that is long, with failure after failure: the journal is longer than what fits into one page, and all of it is written in order.
// A short form of it is TestControlPlaneGone.
func TestLongOutage(t *testing.T) {
	if os.Getenv("QUORATE_TEST_FULL") == "" {
		t.Skip("takes minutes; QUORATE_TEST_FULL=1 runs it")
	}
	ctx := begin(t)
	began := time.Now()
	must(t, bed.StopAPI(ctx))
	deciding(t, ctx, bed, bed.Hosts...)
	want := map[beside.Site][][2]string{}
	for range rounds {
		for _, s := range []beside.Site{shop, news} {
			heir := cutAndServe(t, ctx, s)
			returns(t, ctx, s)
			want[s] = append(want[s], [2]string{"NodeDown", s.Home}, [2]string{"FailoverCompleted", heir}, [2]string{"Failback", s.Home},
				[2]string{"Online", s.Home})
		}
	}
	a, b := watch(t, ctx, bed, shop), watch(t, ctx, bed, news)
	before := [2]string{process(t, ctx, bed, shop, shop.Home), process(t, ctx, bed, news, news.Home)}
	back := time.Now()
	must(t, startAPI(ctx, bed.Hosts...))
	must(t, written(ctx, bed.Hosts...))
	t.Logf("after %s with %d power cuts, all was written within %s", back.Sub(began).Round(time.Second), 2*rounds, time.Since(back).Round(time.Millisecond))
	time.Sleep(3 * time.Second)
	a.quiet(t)
	b.quiet(t)
	if after := [2]string{process(t, ctx, bed, shop, shop.Home), process(t, ctx, bed, news, news.Home)}; after != before {
		t.Errorf("the catching up has restarted something: processes %v before, %v after", before, after)
	}
	for s, steps := range want {
		story(t, ctx, s, began, back, steps...)
		must(t, bed.Cluster.WaitOnline(ctx, recovery, s.Group, s.Home))
	}
}
