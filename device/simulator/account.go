package simulator

import (
	"crypto/subtle"
	"fmt"
	"maps"
	"slices"
	"time"
)

// account is a local user of the configuration.
type account struct {
	password string
	level    int
	view     string // name of a parser view, "" for none
}

// parserView is a role of Role-Based CLI Access: the beginnings of the commands that it has.
type parserView struct {
	secret  string
	include []string
}

// rights are what a login may do.
type rights struct {
	level int
	view  []string // empty: no view
}

// rights finds what a user may do: by the configuration, or by the Config that the
// router was made of.
func (r *Router) rights(user string) rights {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, ok := r.running.accounts[user]
	if !ok {
		return rights{r.config.Privilege, r.config.View}
	}
	if a.view == "" {
		return rights{a.level, nil}
	}
	if v := r.running.views[a.view]; v != nil {
		return rights{a.level, append([]string{"exit"}, v.include...)} // never empty: that would be no view
	}
	return rights{a.level, []string{"exit"}}
}

func (r *Router) authenticate(user, password string) error {
	r.mu.Lock()
	a, ok := r.running.accounts[user]
	r.logins++
	r.mu.Unlock()
	if !ok && user == r.config.Username {
		a, ok = account{password: r.config.Password}, true
	}
	if !ok || subtle.ConstantTimeCompare([]byte(password), []byte(a.password)) != 1 {
		return errRefused
	}
	return r.admit(user)
}

// admit says whether a user whose password is right may have another session.
func (r *Router) admit(user string) error {
	if d := r.config.Knobs.LoginDelay; d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.quit:
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.lines {
		if r.config.Knobs.OneSession && l.user == user {
			return errRefused
		}
	}
	return nil
}

func addAccounts(g grammar) {
	c := g.config
	user := func(a func(words []string) account) func(*session, *call) {
		return func(s *session, call *call) { s.setAccount(call.words[1], a(call.words)) }
	}
	c.add("username WORD privilege <0-16> secret WORD", "Establish User Name Authentication", privileged,
		user(func(w []string) account { return account{w[5], number(w[3]), ""} }))
	c.add("username WORD view WORD secret WORD", "Establish User Name Authentication", privileged,
		user(func(w []string) account { return account{w[5], 1, w[3]} }))
	c.add("no username WORD", "Establish User Name Authentication", privileged, func(s *session, call *call) {
		s.router.mu.Lock()
		defer s.router.mu.Unlock()
		delete(s.router.running.accounts, call.words[2])
	})
	c.add("parser view WORD", "View Commands", privileged, (*session).editView)
	g.view.add("secret WORD", "Set a secret for the current view", privileged, func(s *session, call *call) {
		s.inView(func(v *parserView) { v.secret = call.words[1] })
	})
	include := func(at int) func(*session, *call) {
		return func(s *session, call *call) {
			s.inView(func(v *parserView) { v.include = append(v.include, call.words[at]) })
		}
	}
	g.view.add("commands exec include LINE", "Configure commands for a view", privileged, include(3))
	g.view.add("commands exec include all LINE", "Configure commands for a view", privileged, include(4))
	g.view.add("exit", "Exit from this mode", 1, (*session).exitConfig)
}

func (s *session) setAccount(name string, a account) {
	s.router.mu.Lock()
	defer s.router.mu.Unlock()
	s.router.running.accounts[name] = a
}

func (s *session) editView(c *call) {
	s.router.mu.Lock()
	defer s.router.mu.Unlock()
	if s.router.running.views[c.words[2]] == nil {
		s.router.running.views[c.words[2]] = &parserView{}
	}
	s.view, s.mode = c.words[2], viewMode
}

func (s *session) inView(change func(*parserView)) {
	s.router.mu.Lock()
	defer s.router.mu.Unlock()
	change(s.router.running.views[s.view])
}

func (s settings) accountText(line func(string, ...any)) {
	for _, name := range slices.Sorted(maps.Keys(s.views)) {
		line("parser view %s\n secret 9 $9$hidden", name)
		for _, c := range s.views[name].include {
			line(" commands exec include all %s", c)
		}
		line("!")
	}
	for _, name := range slices.Sorted(maps.Keys(s.accounts)) {
		how := fmt.Sprintf("privilege %d", s.accounts[name].level)
		if v := s.accounts[name].view; v != "" {
			how = "view " + v
		}
		line("username %s %s secret 9 $9$hidden\n!", name, how)
	}
}
