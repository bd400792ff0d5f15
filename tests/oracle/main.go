// keyring-oracle says what a kubelet reads in image references and pull
// secrets: it links the kubelet's own parser and keyring, and nothing of
// pullgate. One JSON object per line in, one per line out, in order.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/distribution/reference"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/credentialprovider"
	"k8s.io/kubernetes/pkg/credentialprovider/secrets"
	"k8s.io/kubernetes/pkg/util/parsers"
)

// text is a JSON string, or {"base64": "..."} where it is not UTF-8: a JSON
// string would replace what it cannot spell.
type text []byte

type question struct {
	// Op is "parse", "match" or "lookup"; it decides which of the others count.
	Op         string   `json:"op"`
	Image      text     `json:"image"`
	Key        text     `json:"key"`
	Repository text     `json:"repository"`
	Secrets    []secret `json:"secrets"`
}

type secret struct {
	Name string          `json:"name"`
	Type string          `json:"type"`
	Data map[string]text `json:"data"`
}

// parsed is an image reference: name, tag and digest are the kubelet's,
// registry and repository those of the library, runtime is what a container
// runtime makes of it.
type parsed struct {
	Name       string `json:"name"`
	Registry   string `json:"registry"`
	Repository string `json:"repository"`
	Tag        string `json:"tag,omitempty"`
	Digest     string `json:"digest,omitempty"`
	Runtime    string `json:"runtime"`
}

type matched struct {
	Matches bool   `json:"matches"`
	Error   string `json:"error,omitempty"`
}

// found are the logins in the order in which the kubelet tries them. Entries
// of one secret that stand for one key come in random order: they are ranged
// over as a map.
type found struct {
	Candidates []login `json:"candidates"`
}

type login struct {
	Secret   string `json:"secret"`
	Username text   `json:"username"`
	Password text   `json:"password"`
}

type refused struct {
	Error string `json:"error"`
}

func main() {
	lines := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	answers := json.NewEncoder(out)
	answers.SetEscapeHTML(false)
	for {
		line, err := lines.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			var q question
			if err := json.Unmarshal(line, &q); err != nil {
				fatal("question is not JSON: %v", err)
			}
			if err := answers.Encode(answer(q)); err != nil {
				fatal("write the answer: %v", err)
			}
		}
		// Whoever asks one question at a time waits for its answer.
		if lines.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				fatal("write the answers: %v", err)
			}
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			fatal("read questions: %v", err)
		}
	}
}

func answer(q question) any {
	switch q.Op {
	case "parse":
		return parse(string(q.Image))
	case "match":
		return match(string(q.Key), string(q.Repository))
	case "lookup":
		return lookup(string(q.Image), q.Secrets)
	}
	fatal("op %q is none of parse, match and lookup", q.Op)
	return nil
}

func parse(image string) any {
	name, tag, digest, err := parsers.ParseImageName(image)
	runtime, runtimeErr := reference.ParseDockerRef(image)
	if err != nil {
		if cause := causeOf(image, err); runtimeErr == nil || runtimeErr.Error() != cause {
			fatal("%q: the kubelet says %q, a runtime %v", image, cause, runtimeErr)
		}
		return refused{runtimeErr.Error()}
	}
	if runtimeErr != nil {
		fatal("%q: only a runtime refuses it: %v", image, runtimeErr)
	}
	return parsed{name, reference.Domain(runtime), reference.Path(runtime), tag, digest, runtime.String()}
}

func match(key, repository string) any {
	matches, err := credentialprovider.URLsMatchStr(key, repository)
	if err != nil {
		return matched{matches, err.Error()}
	}
	return matched{Matches: matches}
}

// lookup does what the kubelet does between an image and its pull: the name
// that is looked up, the keyring of the pull secrets, with nothing of the
// node's own behind it, and the lookup.
func lookup(image string, pullSecrets []secret) any {
	repository, _, _, err := parsers.ParseImageName(image)
	if err != nil {
		return refused{causeOf(image, err)}
	}
	var passed []v1.Secret
	for _, s := range pullSecrets {
		data := make(map[string][]byte, len(s.Data))
		for key, value := range s.Data {
			data[key] = value
		}
		passed = append(passed, v1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: s.Name},
			Type:       v1.SecretType(s.Type),
			Data:       data,
		})
	}
	keyring, err := secrets.MakeDockerKeyring(passed, credentialprovider.UnionDockerKeyring{})
	if err != nil {
		return refused{err.Error()}
	}
	credentials, _ := keyring.Lookup(repository)
	candidates := make([]login, 0, len(credentials))
	for _, c := range credentials {
		l := login{Username: text(c.Username), Password: text(c.Password)}
		if c.Source != nil && c.Source.Secret != nil {
			l.Secret = c.Source.Secret.Name
		}
		candidates = append(candidates, l)
	}
	return found{candidates}
}

// causeOf leaves out the image that every error of the parser repeats.
func causeOf(image string, err error) string {
	cause, repeated := strings.CutPrefix(err.Error(), fmt.Sprintf("couldn't parse image name %q: ", image))
	if !repeated {
		fatal("the parser's error does not begin as it used to: %v", err)
	}
	return cause
}

func (t *text) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		var plain string
		err := json.Unmarshal(data, &plain)
		*t = text(plain)
		return err
	}
	var encoded struct {
		Base64 []byte `json:"base64"`
	}
	err := json.Unmarshal(data, &encoded)
	*t = encoded.Base64
	return err
}

func (t text) MarshalJSON() ([]byte, error) {
	if utf8.Valid(t) {
		return json.Marshal(string(t))
	}
	return json.Marshal(map[string][]byte{"base64": t})
}

func fatal(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "keyring-oracle: "+format+"\n", args...)
	os.Exit(1)
}
