// Package testcontainers holds the integration suite: the real binary, built
// with failpoints, against every broker that can start.
//
//	main_test.go     builds the programs, starts brokers when they are first used
//	job_test.go      one run of the chaos pipeline: topics, input, processes, verdict
//	kill_test.go     SIGKILL at each failpoint, and at random
//	owner_test.go    two processes, one name; a frozen process that wakes up
//	broker_test.go   brokers restarted, gone and frozen under a running job
//	damage_test.go   state directory and internal topics deleted
//	mutant_test.go   an output the broker refuses, and the bug that ignores it
//	verifier_test.go the verifier and the fixtures, tried themselves
//
// KSTREAM_TEST_BROKERS selects brokers, KSTREAM_TEST_REQUIRE names those that
// must run, KSTREAM_CHAOS_KILLS is the number of random kills.
package testcontainers
