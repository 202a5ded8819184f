package broker

import (
	"context"
	"crypto/sha256"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// kafkaJars finds the jars of an Apache Kafka and returns the class path. Where
// they come from, in this order: the unpacked distribution KSTREAM_KAFKA_HOME,
// the cache, Maven into the cache. The error quotes every attempt.
func kafkaJars(ctx context.Context, version string) (string, error) {
	if home := os.Getenv("KSTREAM_KAFKA_HOME"); home != "" {
		libs := filepath.Join(home, "libs")
		if err := checkJars(libs, version); err != nil {
			return "", fmt.Errorf("KSTREAM_KAFKA_HOME: %w", err)
		}
		return filepath.Join(libs, "*"), nil
	}
	cache, err := cacheDir("kafka-" + version)
	if err != nil {
		return "", err
	}
	inCache := checkJars(cache, version)
	if inCache == nil {
		return filepath.Join(cache, "*"), nil
	}
	if err := resolveJars(ctx, cache, version); err != nil {
		return "", fmt.Errorf("no jars in the cache (%w) and Maven did not bring them: %w", inCache, err)
	}
	return filepath.Join(cache, "*"), nil
}

// cacheDir is the directory of the tests in the user's cache.
func cacheDir(name string) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache directory: %w", err)
	}
	return filepath.Join(base, "kstream-test", name), nil
}

// checkJars says whether dir holds a broker and a log binding. Without the
// binding start-up errors of the broker would be invisible.
func checkJars(dir, version string) error {
	for _, want := range []string{"kafka_2.13-" + version + ".jar", "log4j-slf4j-impl-*.jar", "log4j-core-*.jar"} {
		found, err := filepath.Glob(filepath.Join(dir, want))
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return fmt.Errorf("%s has no %s", dir, want)
		}
	}
	return nil
}

// project is the part of a pom that names dependencies.
type project struct {
	XMLName      xml.Name     `xml:"http://maven.apache.org/POM/4.0.0 project"`
	ModelVersion string       `xml:"modelVersion"`
	GroupID      string       `xml:"groupId"`
	ArtifactID   string       `xml:"artifactId"`
	Version      string       `xml:"version"`
	Dependencies []dependency `xml:"dependencies>dependency"`
}

type dependency struct {
	GroupID    string `xml:"groupId"`
	ArtifactID string `xml:"artifactId"`
	Version    string `xml:"version"`
}

// log4jVersion is the log4j the broker of KafkaVersion comes with.
const log4jVersion = "2.25.4"

// resolveJars lets Maven copy the jars into a directory beside the cache, which
// takes the cache's name when it is whole: a killed run leaves no half a cache.
func resolveJars(ctx context.Context, cache, version string) error {
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(cache), 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(cache), "resolve-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	pom := project{
		ModelVersion: "4.0.0", GroupID: "kstream.test", ArtifactID: "kafka-jars", Version: "1",
		Dependencies: []dependency{
			{"org.apache.kafka", "kafka_2.13", version},
			{"org.apache.logging.log4j", "log4j-slf4j-impl", log4jVersion},
			{"org.apache.logging.log4j", "log4j-core", log4jVersion},
		},
	}
	text, err := xml.Marshal(pom)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(work, "pom.xml"), text, 0o644); err != nil {
		return err
	}
	jars := filepath.Join(work, "jars")
	cmd := exec.CommandContext(ctx, mvn, "-q", "-B", "dependency:copy-dependencies",
		"-DincludeScope=runtime", "-DoutputDirectory="+jars)
	cmd.Dir = work
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mvn dependency:copy-dependencies: %w: %s", err, firstLine(string(out)))
	}
	if err := checkJars(jars, version); err != nil {
		return err
	}
	if err := writeHashes(jars); err != nil {
		return err
	}
	return moveInto(jars, cache, version)
}

// moveInto gives the resolved jars the cache's name. Another run may have been
// faster; its jars are as good.
func moveInto(jars, cache, version string) error {
	err := os.Rename(jars, cache)
	if err == nil || checkJars(cache, version) == nil {
		return nil
	}
	if err := os.RemoveAll(cache); err != nil { // an incomplete one
		return err
	}
	return os.Rename(jars, cache)
}

// writeHashes keeps the SHA-256 of every jar beside them, so that a report can
// say what ran.
func writeHashes(dir string) error {
	jars, err := filepath.Glob(filepath.Join(dir, "*.jar"))
	if err != nil {
		return err
	}
	slices.Sort(jars)
	var b strings.Builder
	for _, jar := range jars {
		f, err := os.Open(jar)
		if err != nil {
			return err
		}
		h := sha256.New()
		_, err = io.Copy(h, f)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		fmt.Fprintf(&b, "%x  %s\n", h.Sum(nil), filepath.Base(jar))
	}
	return os.WriteFile(filepath.Join(dir, "SHA256SUMS"), []byte(b.String()), 0o644)
}

// firstLine is the first line with text, for reasons that must fit on one line.
func firstLine(s string) string {
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" {
			return line
		}
	}
	return "no output"
}
