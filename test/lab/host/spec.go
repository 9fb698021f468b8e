package host

// Spec is all that a host's first process needs to know.
type Spec struct {
	// Name is the host name.
	Name string `json:"name"`
	// Staging is an empty directory on which the new root is built, in the host's own mount namespace.
	Staging string `json:"staging"`
	// CgroupDir is the host's control group, which it sees as /sys/fs/cgroup.
	CgroupDir string `json:"cgroupDir"`
	// BootID is what /proc/sys/kernel/random/boot_id tells: fresh at every start.
	BootID string `json:"bootID"`
	// HostsFile is the content of /etc/hosts.
	HostsFile string `json:"hostsFile"`
	// Binds are directories and files of the machine that the host sees.
	Binds []Bind `json:"binds"`
	// Processes are the daemons of the host, in order of their start.
	Processes []Process `json:"processes"`
}

// Bind is a directory or file of the machine that the host sees at Target.
type Bind struct {
	Source   string `json:"source"`
	Target   string `json:"target"`
	ReadOnly bool   `json:"readOnly"`
}

// Process is a supervised daemon.
type Process struct {
	// Name is also the name of its control group and, with .log, of its log in /var/log.
	Name string   `json:"name"`
	Args []string `json:"args"`
	Env  []string `json:"env,omitempty"`
	// AutoStart starts it when the host boots.
	AutoStart bool `json:"autoStart"`
	// Restart starts it again 100 ms after it ended, as systemd's Restart=always does, unless it was stopped.
	Restart bool `json:"restart"`
}

// ProcessStatus is how a supervised daemon fares.
type ProcessStatus struct {
	Name string `json:"name"`
	// PID is the process id as the host sees it, 0 while it does not run.
	PID int `json:"pid"`
	// Starts counts how often it was started since the host booted.
	Starts int `json:"starts"`
	// Wanted says whether it should be running.
	Wanted bool `json:"wanted"`
	// LastExit tells how it ended the last time, empty if it never did.
	LastExit string `json:"lastExit,omitempty"`
}

// request is what the daemon asks of the host's first process.
type request struct {
	ID     int    `json:"id"`
	Op     string `json:"op"` // boot, start, stop, signal, status
	Name   string `json:"name,omitempty"`
	Signal int    `json:"signal,omitempty"`
}

// response answers the request with the same ID.
type response struct {
	ID        int             `json:"id"`
	Error     string          `json:"error,omitempty"`
	Processes []ProcessStatus `json:"processes,omitempty"`
}
