package powerfence

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const ipmiPassword = "Kirschbaum7"

// startBMC runs OpenIPMI's simulator of a baseboard management controller on loopback. Its chassis is a script over a file.
func startBMC(t *testing.T) (port string, power func() string) {
	t.Helper()
	for _, tool := range []string{"ipmi_sim", "ipmitool", "fence_ipmilan"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed: make setup", tool)
		}
	}
	socket, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ = net.SplitHostPort(socket.LocalAddr().String())
	socket.Close()
	dir := t.TempDir()
	state := filepath.Join(dir, "power")
	files := map[string]string{
		"power": "1",
		"lan.conf": fmt.Sprintf(`name "bmc"
set_working_mc 0x20
  startlan 1
    addr 127.0.0.1 %s
    priv_limit admin
    allowed_auths_admin none md2 md5 straight
    guid a123456789abcdefa123456789abcdef
  endlan
  chassis_control "%s/chassis"
  user 2 true "admin" "%s" admin 10 none md2 md5 straight
`, port, dir, ipmiPassword),
		"commands": "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr\nmc_enable 0x20\n",
		"chassis": "#!/bin/sh\ncase \"$1 $2\" in\n'get power') echo power:$(cat " + state + ");;\n'set power') echo $3 >" + state +
			";;\nesac\n",
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	sim := exec.Command("ipmi_sim", "-c", filepath.Join(dir, "lan.conf"), "-f", filepath.Join(dir, "commands"), "-s", dir, "-n")
	if err := sim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = sim.Process.Kill()
		_ = sim.Wait()
	})
	return port, func() string {
		content, err := os.ReadFile(state)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(content))
	}
}

// TestIPMI cuts the power behind a simulated BMC with the real fence_ipmilan and ipmitool, by IPMI 2.0 over the loopback interface.
func TestIPMI(t *testing.T) {
	port, power := startBMC(t)
	f := New()
	l := Level{
		Number: 1, Driver: "fence_ipmilan", Timeout: 2 * time.Minute, Secrets: []Parameter{{"password", ipmiPassword}},
		Parameters: []Parameter{{"ip", "127.0.0.1"}, {"ipport", port}, {"username", "admin"}, {"lanplus", "1"}, {"cipher", "3"}, {"method", "onoff"}},
	}
	var r Result
	var err error
	for range 3 { // the simulator may not listen yet
		if r, err = f.Off(t.Context(), []Level{l}, always); err == nil {
			break
		}
	}
	if err != nil || r.Level != 1 || power() != "0" {
		t.Fatalf("%+v, %v; power is %s", r, err, power())
	}
	if err := f.On(t.Context(), &l); err != nil || power() != "1" {
		t.Errorf("on: %v; power is %s", err, power())
	}
	wrong := l
	wrong.Secrets, wrong.Timeout = []Parameter{{"password", "Holunder8"}}, 4*time.Second
	_, err = f.Off(t.Context(), []Level{wrong}, always)
	if err == nil || strings.Contains(err.Error(), "Holunder8") || power() != "1" {
		t.Errorf("with a wrong password: %v; power is %s", err, power())
	}
}
