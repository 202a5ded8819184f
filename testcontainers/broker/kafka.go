package broker

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// kafkaLogs sends the broker's log to its standard output, which the process
// writes to a file.
const kafkaLogs = `<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="warn">
  <Appenders><Console name="out"><PatternLayout pattern="%d %p %c{1}: %m%n"/></Console></Appenders>
  <Loggers><Root level="warn"><AppenderRef ref="out"/></Root></Loggers>
</Configuration>
`

// startKafka starts one node that is broker and controller.
func startKafka(ctx context.Context, o Options) (*Broker, error) {
	java, err := findJava(ctx)
	if err != nil {
		return nil, err
	}
	classes, err := kafkaJars(ctx, KafkaVersion)
	if err != nil {
		return nil, err
	}
	ports, err := FreePorts(2)
	if err != nil {
		return nil, err
	}
	node := filepath.Join(o.Dir, "node1.properties")
	logs := filepath.Join(o.Dir, "log4j2.xml")
	if err := os.WriteFile(node, []byte(kafkaProperties(o.Dir, ports[0], ports[1])), 0o600); err != nil {
		return nil, err
	}
	if err := os.WriteFile(logs, []byte(kafkaLogs), 0o600); err != nil {
		return nil, err
	}
	if err := formatKafka(ctx, java, classes, node, logs, o); err != nil {
		return nil, err
	}
	p := &process{
		argv: slices.Concat([]string{java, "-Xmx512m", "-Dlog4j2.configurationFile=" + logs}, o.JVM,
			[]string{"-cp", classes, "kafka.Kafka", node}),
		log: filepath.Join(o.Dir, "kafka.log"),
	}
	if err := p.start(); err != nil {
		return nil, err
	}
	return &Broker{
		Version: KafkaVersion,
		Addrs:   []string{"127.0.0.1:" + strconv.Itoa(ports[0])},
		Can:     Capabilities{Restart: true, Pause: true},
		life:    p,
	}, nil
}

// formatKafka makes the node's storage directory, which a KRaft broker does not
// do by itself.
func formatKafka(ctx context.Context, java, classes, node, logs string, o Options) error {
	id := make([]byte, 16)
	rand.Read(id)
	args := []string{"-Dlog4j2.configurationFile=" + logs, "-cp", classes, "kafka.tools.StorageTool", "format",
		"--cluster-id=" + base64.RawURLEncoding.EncodeToString(id), "--config=" + node}
	if o.TV1 {
		args = append(args, "--feature", "transaction.version=1")
	}
	if out, err := exec.CommandContext(ctx, java, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("format the storage: %w: %s", err, out)
	}
	return nil
}

// kafkaProperties is the configuration of the node. Factors of one and few
// partitions start fast; the second for the transaction scan makes time-outs
// testable.
func kafkaProperties(dir string, port, controllerPort int) string {
	client := "127.0.0.1:" + strconv.Itoa(port)
	controller := "127.0.0.1:" + strconv.Itoa(controllerPort)
	return strings.Join([]string{
		"process.roles=broker,controller",
		"node.id=1",
		"controller.quorum.voters=1@" + controller,
		"listeners=CLIENT://" + client + ",CONTROLLER://" + controller,
		"advertised.listeners=CLIENT://" + client,
		"listener.security.protocol.map=CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"controller.listener.names=CONTROLLER",
		"inter.broker.listener.name=CLIENT",
		"log.dirs=" + filepath.Join(dir, "data"),
		"auto.create.topics.enable=false",
		"default.replication.factor=1",
		"min.insync.replicas=1",
		"offsets.topic.replication.factor=1",
		"offsets.topic.num.partitions=4",
		"transaction.state.log.replication.factor=1",
		"transaction.state.log.min.isr=1",
		"transaction.state.log.num.partitions=4",
		"transaction.abort.timed.out.transaction.cleanup.interval.ms=1000",
		"share.coordinator.state.topic.replication.factor=1",
		"share.coordinator.state.topic.min.isr=1",
		"group.initial.rebalance.delay.ms=0",
		"",
	}, "\n")
}

var javaVersion = regexp.MustCompile(`version "(\d+)`)

// findJava finds a Java that can run the broker.
func findJava(ctx context.Context) (string, error) {
	const least = 17
	java, err := exec.LookPath("java")
	if err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, java, "-version").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("java -version: %w: %s", err, firstLine(string(out)))
	}
	m := javaVersion.FindSubmatch(out)
	if m == nil {
		return "", fmt.Errorf("java -version: no version in %q", firstLine(string(out)))
	}
	if v, err := strconv.Atoi(string(m[1])); err != nil || v < least {
		return "", fmt.Errorf("java is version %s, Kafka %s needs %d", m[1], KafkaVersion, least)
	}
	return java, nil
}
