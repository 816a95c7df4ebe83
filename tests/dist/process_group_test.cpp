// Processes of their own, as ranks are.
#include "cavmae/dist/process_group.h"

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"

#include "tests/support/temporary_folder.h"

namespace cavmae {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// The middle one is for ranks that are waited for beyond it, of which none may be taken for lost.
constexpr std::chrono::seconds kLongTimeout(120), kMiddleTimeout(16), kShortTimeout(5);

// What a rank leaves behind in FOLDER/out.RANK: its result, or the error that ended it.
class Processes {
 public:
  // `timeout`: after which a rank is taken for lost. A busy machine may keep a process from working for
  // seconds.
  explicit Processes(int64_t ranks, std::chrono::seconds timeout = kLongTimeout)
      : ranks_(ranks), timeout_(timeout) {}
  ~Processes() { kill(); }

  void kill() {
    for (const pid_t child : children_) ::kill(child, SIGKILL);
    wait();
  }

  // From here on, ranks that do not hear of a lost one are ended.
  void end_unheard() { ends_unheard_ = true; }

  // From here on, what ranks wait for is said so often.
  void say_every(std::chrono::milliseconds between_lines) { between_lines_ = between_lines; }
  // What process 0 has said.
  std::string said() const {
    const auto file = folder_ / "said";
    return std::filesystem::exists(file) ? read_text(file) : "";
  }
  // They meet in another file of the folder, which is that of a launch.
  void meet_beside(const std::filesystem::path& run, const std::string& launch) {
    place_.file = folder_ / ("." + run.string() + kMeetingFile + launch);
    place_.launch = launch;
  }
  std::filesystem::path meeting_file() const { return place_.file; }

  // `rank` runs in a process of its own, in a fork that has used nothing of LibTorch's threads before.
  void start(int64_t rank, const std::function<std::string(ProcessGroup&)>& run,
             const std::string& build = "1") {
    const pid_t child = ::fork();
    if (child == 0) {
      write_file(out_file(started_), outcome(rank, run, build));
      ::_exit(0);
    }
    children_.push_back(child);
    ++started_;
  }
  void start_all(const std::function<std::string(ProcessGroup&)>& run) {
    for (int64_t rank = 0; rank < ranks_; ++rank) start(rank, run);
  }
  void wait() {
    for (const pid_t child : children_) ::waitpid(child, nullptr, 0);
    children_.clear();
  }
  // The same for one of them, whatever the others do; for a while at most.
  void wait_for(size_t process) const {
    for (int i = 0; i < 1200 && out(process).empty(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  std::string out(size_t process) const {
    const auto file = out_file(process);
    return std::filesystem::exists(file) ? read_text(file) : "";
  }

 private:
  std::filesystem::path out_file(size_t process) const {
    return folder_ / ("out." + std::to_string(process));
  }
  std::string outcome(int64_t rank, const std::function<std::string(ProcessGroup&)>& run,
                      const std::string& build) const {
    GroupOptions options;
    options.launch = {.rank = rank, .size = ranks_, .local_rank = 0, .launcher = "a test", .place = {}};
    options.launch.place = place_;
    if (started_ == 0)
      options.say = [this](const std::string& line) {
        std::ofstream(folder_ / "said", std::ios::app) << line << '\n';
      };
    options.between_lines = between_lines_;
    options.timeout = timeout_;
    options.build = build;
    if (ends_unheard_)
      options.if_unheard = [file = out_file(started_)](const std::string& why) {
        write_file(file, "unheard: " + why);
        ::_exit(0);
      };
    try {
      auto* group = new ProcessGroup(options);  // ends with the process
      std::string text;
      try {
        text = run(*group);
      } catch (const Error& e) {
        group->abandon(e.what());
        return std::string("error: ") + e.what();
      }
      group->leave();
      return text;
    } catch (const Error& e) {
      return std::string("error: ") + e.what();
    }
  }

  int64_t ranks_;
  std::chrono::seconds timeout_;
  TemporaryFolder folder_;
  std::vector<pid_t> children_;
  size_t started_ = 0;
  MeetingPlace place_ = {.file = folder_ / "meeting"};
  std::chrono::milliseconds between_lines_{10'000};
  bool ends_unheard_ = false;
};

double seconds_of(const std::function<void()>& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

TEST(ProcessGroup, CollectivesAreThoseOfAWorld) {
  Processes processes(3);
  processes.start_all([](ProcessGroup& group) {
    const auto rank = static_cast<float>(group.rank());
    const torch::Tensor sum = torch::full({4, 2}, rank + 1).t();  // not contiguous
    group.all_reduce(sum);
    const torch::Tensor sent = torch::full({2}, 10 * rank);
    group.broadcast(sent, 2);
    const torch::Tensor own = torch::full({1}, rank).requires_grad_();
    const std::vector<torch::Tensor> gathered = group.all_gather(own);
    const bool keeps_own = gathered[static_cast<size_t>(group.rank())].is_same(own);
    const auto all = torch::cat(gathered).sum().item<float>();
    const torch::Tensor rows = gather_rows(group, torch::ones({group.rank(), 2}));
    return concat(sum.eq(6).all().item<bool>(), " ", sent[0].item<float>(), " ", keeps_own, " ", all, " ",
                  rows.size(0), " ",
                  gather_texts(group, std::string(static_cast<size_t>(group.rank()), 'x'))[2]);
  });
  processes.wait();
  for (const size_t process : {0, 1, 2}) EXPECT_EQ(processes.out(process), "1 20 1 3 3 xx");
}

TEST(ProcessGroup, ReductionsGoOnWhileTheRankComputes) {
  Processes processes(2);
  processes.start_all([](ProcessGroup& group) {
    std::vector<torch::Tensor> sums;
    std::vector<std::unique_ptr<PendingReduction>> begun;
    for (int i = 0; i < 5; ++i) {
      sums.push_back(torch::full({100'000}, static_cast<float>(10 * i + group.rank())));
      begun.push_back(group.begin_all_reduce(sums.back()));
    }
    const torch::Tensor other = torch::ones({3});
    group.all_reduce(other);  // beside them
    for (const int i : {3, 0, 4, 1, 2}) group.finish(std::move(begun[static_cast<size_t>(i)]));
    bool right = other.eq(2).all().item<bool>();
    for (int i = 0; i < 5; ++i)
      right = right && sums[static_cast<size_t>(i)].eq(20 * i + 1).all().item<bool>();
    return concat(right, " ", group.exchange_seconds() > 0);
  });
  processes.wait();
  for (const size_t process : {0, 1}) EXPECT_EQ(processes.out(process), "1 1");
}

TEST(ProcessGroup, ALostRankIsNamedByWhoFinishesAReduction) {
  Processes processes(2, kShortTimeout);
  processes.start_all([](ProcessGroup& group) {
    group.does("computes step 1");
    group.barrier();
    if (group.rank() == 1) std::raise(SIGSTOP);
    const torch::Tensor sum = torch::ones({100'000});
    group.finish(group.begin_all_reduce(sum));
    return std::string("done");
  });
  processes.wait_for(0);
  EXPECT_THAT(processes.out(0), HasSubstr("error: rank 1 of 2 on "));
}

// Two steps, in the second of which `hindered` does something else.
std::string second_step(ProcessGroup& group, int64_t hindered, const std::function<void()>& instead) {
  group.barrier();
  group.does("computes step 2");
  if (group.rank() == hindered) instead();
  group.barrier();
  return "done";
}

TEST(ProcessGroup, ARankThatIsKilledIsNamedByTheOthers) {
  Processes processes(3);
  processes.start_all([](ProcessGroup& group) {
    return second_step(group, 1, [] {
      std::this_thread::sleep_for(std::chrono::seconds(6));  // a rank tells what it does every two seconds
      std::raise(SIGKILL);
    });
  });
  EXPECT_LT(seconds_of([&] { processes.wait(); }), 60.0) << "long before the timeout";
  for (const size_t process : {0, 2})
    EXPECT_THAT(processes.out(process),
                AllOf(HasSubstr("error: rank 1 of 3 on "), HasSubstr("was ended, hangs or cannot be reached"),
                      HasSubstr("it computes step 2")));
}

TEST(ProcessGroup, ARankThatHangsIsNamedByTheOthers) {
  Processes processes(3, kShortTimeout);
  processes.start_all([](ProcessGroup& group) { return second_step(group, 2, [] { std::raise(SIGSTOP); }); });
  for (const size_t process : {0, 1}) processes.wait_for(process);
  EXPECT_THAT(processes.out(0), HasSubstr("error: rank 2 of 3 on "));
  EXPECT_THAT(processes.out(1), HasSubstr("error: rank 2 of 3 on "));
}

TEST(ProcessGroup, ARankThatIsAliveButDoesNotComeIsNamed) {
  Processes processes(2, kShortTimeout);
  processes.start_all([](ProcessGroup& group) {
    return second_step(group, 1, [] { std::this_thread::sleep_for(2 * kShortTimeout); });
  });
  processes.wait();
  EXPECT_THAT(processes.out(0),
              AllOf(HasSubstr("error: rank 1 of 2 on "),
                    HasSubstr("does not come to what the others wait for; it computes step 2")));
  EXPECT_THAT(processes.out(1), HasSubstr("error: "));
}

// Nor is one ended that takes its time, whether it hears of the others meanwhile or not.
TEST(ProcessGroup, RanksWaitForOneThatTakesLongerThanTheTimeout) {
  constexpr auto kLonger = kMiddleTimeout + std::chrono::seconds(1);
  Processes processes(3, kMiddleTimeout);
  processes.end_unheard();
  processes.start_all([=](ProcessGroup& group) {
    const auto start = std::chrono::steady_clock::now();
    // A rank that asks nothing the while, and one that asks all the while.
    if (group.rank() == 1) std::this_thread::sleep_for(kLonger);
    while (group.rank() == 2 && std::chrono::steady_clock::now() < start + kLonger / 2) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      group.check_all_live();
    }
    group.wait_for_all();
    const auto after = std::chrono::steady_clock::now();
    if (group.rank() == 2) std::this_thread::sleep_for(std::chrono::seconds(1));
    group.wait_for_all();
    const bool waited = std::chrono::steady_clock::now() - after >= std::chrono::milliseconds(800);
    return concat(after - start >= kLonger - std::chrono::seconds(1), " ", waited, " ",
                  gather_texts(group, "x").size());
  });
  processes.wait();
  for (const size_t process : {0, 1, 2}) EXPECT_EQ(processes.out(process), "1 1 3");
}

TEST(ProcessGroup, ARankThatIsKilledIsNamedByThoseThatWaitForAll) {
  Processes processes(3, kShortTimeout);
  processes.start_all([](ProcessGroup& group) {
    group.barrier();
    if (group.rank() == 1) std::raise(SIGKILL);
    group.wait_for_all();
    return std::string("done");
  });
  EXPECT_LT(seconds_of([&] { processes.wait(); }), 60.0);
  for (const size_t process : {0, 2})
    EXPECT_THAT(processes.out(process), AllOf(HasSubstr("error: rank 1 of 3 on "),
                                              HasSubstr("was ended, hangs or cannot be reached")));
}

// A share of a job, which asks nobody: computes until it hears that another rank is lost.
std::string endless_share(ProcessGroup& group) {
  for (int64_t clip = 0;; ++clip) {
    group.does(concat("is embedding, at clip ", clip));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    group.check_all_live();
  }
}

TEST(ProcessGroup, ALostRankIsHeardOfInTheMiddleOfAShare) {
  for (const int64_t lost : {0, 1, 2}) {
    Processes processes(4, kShortTimeout);
    processes.start_all([=](ProcessGroup& group) {
      group.barrier();
      if (group.rank() != lost) return endless_share(group);
      group.does("is embedding, at clip 7");
      std::this_thread::sleep_for(kShortTimeout / 2);
      std::raise(SIGKILL);
      return std::string("done");
    });
    EXPECT_LT(seconds_of([&] { processes.wait(); }), 60.0);
    for (size_t process = 0; process < 4; ++process) {
      if (static_cast<int64_t>(process) == lost) continue;
      EXPECT_THAT(processes.out(process), AllOf(HasSubstr(concat("error: rank ", lost, " of 4 on ")),
                                                HasSubstr("was ended, hangs or cannot be reached"),
                                                HasSubstr("it is embedding, at clip 7")));
    }
  }
}

TEST(ProcessGroup, AllThatAreLostInTheMiddleOfAShareAreNamed) {
  Processes processes(5, kShortTimeout);
  processes.start_all([](ProcessGroup& group) {
    group.barrier();
    if (group.rank() != 1 && group.rank() != 2) return endless_share(group);
    std::raise(SIGSTOP);
    return std::string("done");
  });
  for (const size_t process : {0, 3, 4}) {
    processes.wait_for(process);
    EXPECT_THAT(processes.out(process),
                AllOf(HasSubstr("error: rank 1 of 5 on "), HasSubstr(", and so was rank 2;")));
  }
}

TEST(ProcessGroup, ARankThatHearsNothingIsEnded) {
  Processes processes(3, kShortTimeout);
  processes.end_unheard();
  processes.start_all([](ProcessGroup& group) {
    group.barrier();
    if (group.rank() == 1) std::raise(SIGKILL);
    if (group.rank() == 2) return endless_share(group);
    for (;;) std::this_thread::sleep_for(kShortTimeout);  // reads one clip
    return std::string("done");
  });
  EXPECT_LT(seconds_of([&] { processes.wait(); }), 60.0);
  EXPECT_THAT(processes.out(0), HasSubstr("unheard: rank 1 of 3 on "));
  EXPECT_THAT(processes.out(2), HasSubstr("error: rank 1 of 3 on "));
}

TEST(ProcessGroup, WhatEndedARankIsToldByTheOthers) {
  Processes processes(2);
  processes.start_all([](ProcessGroup& group) {
    return second_step(group, 1, [] { throw DataError("too many clips cannot be read"); });
  });
  EXPECT_LT(seconds_of([&] { processes.wait(); }), 60.0) << "long before the timeout";
  EXPECT_THAT(processes.out(0), HasSubstr("ended: too many clips cannot be read"));
}

TEST(ProcessGroup, WhatEndedARankIsHeardInTheMiddleOfAShare) {
  Processes processes(3);
  processes.start_all([](ProcessGroup& group) {
    group.barrier();
    if (group.rank() != 1) return endless_share(group);
    throw DataError("the disk is full");
  });
  EXPECT_LT(seconds_of([&] { processes.wait(); }), 60.0) << "long before the timeout";
  for (const size_t process : {0, 2})
    EXPECT_THAT(processes.out(process), HasSubstr("ended: the disk is full"));
}

TEST(ProcessGroup, WhatDoesNotMeetIsNamedAtTheStart) {
  const auto nothing = [](ProcessGroup&) { return std::string("done"); };
  Processes builds(2);
  builds.start(0, nothing, "1");
  builds.start(1, nothing, "2");
  builds.wait();
  EXPECT_THAT(builds.out(0), HasSubstr("rank 1 on "));
  EXPECT_THAT(builds.out(0), AllOf(HasSubstr("is another build (2) than rank 0"), HasSubstr("(1)")));
  Processes twins(3, kShortTimeout);
  for (const int64_t rank : {0, 1, 1}) twins.start(rank, nothing);
  twins.wait();
  EXPECT_THAT(twins.out(0), HasSubstr("error: rank 2 of 3 has not come to file://"));
  EXPECT_THAT(twins.out(1) + twins.out(2), HasSubstr("error: rank 1 is there already, as process "));
}

TEST(ProcessGroup, WhoIsMissingIsSaid) {
  Processes processes(2);
  processes.say_every(std::chrono::milliseconds(50));
  const auto nothing = [](ProcessGroup&) { return std::string("done"); };
  processes.start(0, nothing);
  for (int i = 0; i < 1200 && processes.said().empty(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  processes.start(1, nothing);
  processes.wait();
  EXPECT_THAT(processes.said(), HasSubstr("rank 1 of 2 has not come to file://"));
  EXPECT_THAT(processes.said(), HasSubstr(" yet\n"));
  EXPECT_EQ(processes.out(0), "done");
}

TEST(ProcessGroup, TheUsersInterfaceIsTaken) {
  const auto outcome_with = [](const char* interface) {
    ::setenv("GLOO_SOCKET_IFNAME", interface, 1);
    Processes processes(2, std::chrono::seconds(30));
    processes.start_all([](ProcessGroup& group) {
      group.barrier();
      return group.description();
    });
    ::unsetenv("GLOO_SOCKET_IFNAME");
    processes.wait();
    return processes.out(0);
  };
  EXPECT_THAT(outcome_with("lo"), HasSubstr("2 ranks on 1 host, Gloo over lo (rank 0)"));
  EXPECT_THAT(outcome_with("nonesuch0"), AllOf(HasSubstr("error: rank 0 cannot reach the others"),
                                               HasSubstr("set GLOO_SOCKET_IFNAME to")));
}

// ---- files where ranks meet

const auto kMeet = [](ProcessGroup& group) {
  group.barrier();
  return concat("met by ", gather_texts(group, "x").size());
};

TEST(ProcessGroup, AFileOfALaunchThatWasKilledIsReplaced) {
  Processes processes(2);
  const std::string met = processes.meeting_file().string() + ".met";
  processes.start_all([met](ProcessGroup& group) {
    group.barrier();
    write_file(met + std::to_string(group.rank()), "");
    for (;;) std::this_thread::sleep_for(std::chrono::seconds(1));
    return std::string();
  });
  for (int i = 0; i < 1200 && !(std::filesystem::exists(met + "0") && std::filesystem::exists(met + "1"));
       ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  processes.kill();
  EXPECT_TRUE(std::filesystem::exists(processes.meeting_file()));
  processes.start(1, kMeet);
  std::this_thread::sleep_for(std::chrono::milliseconds(500));  // it comes before rank 0
  processes.start(0, kMeet);
  processes.wait();
  for (const size_t process : {2, 3}) EXPECT_EQ(processes.out(process), "met by 2");
}

TEST(ProcessGroup, FilesOfFormerLaunchesOfARunAreRemoved) {
  Processes processes(2);
  processes.meet_beside("run", "7");
  const std::filesystem::path folder = processes.meeting_file().parent_path();
  for (const char* name : {".run.meeting-5", ".run.meeting-6", ".run2.meeting-5"}) {
    write_file(folder / name, "");
    std::filesystem::last_write_time(
        folder / name,
        std::filesystem::file_time_type::clock::now() -
            (std::string(name) == ".run.meeting-6" ? std::chrono::hours(0) : std::chrono::hours(2)));
  }
  processes.start_all(kMeet);
  processes.wait();
  EXPECT_EQ(processes.out(0), "met by 2");
  EXPECT_FALSE(std::filesystem::exists(folder / ".run.meeting-5"));
  EXPECT_TRUE(std::filesystem::exists(folder / ".run.meeting-6")) << "another launch may be at work";
  EXPECT_TRUE(std::filesystem::exists(folder / ".run2.meeting-5")) << "of another run";
}

}  // namespace
}  // namespace cavmae
