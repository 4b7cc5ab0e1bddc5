;; Lets jepsen.tests.kafka judge exported histories, and compares what it finds with what was found here: the
;; first line of each file says that, in the original's words.
(require '[clojure.edn :as edn]
         '[clojure.java.io :as io]
         '[clojure.set :as set]
         '[clojure.string :as str]
         '[jepsen.history :as h]
         '[jepsen.tests.kafka :as kafka])

(def judged
  "The names that both checkers know. One difference is known: a partition to which nothing was acknowledged by the
  end of the history has, there, what was read of it as :unseen."
  #{:inconsistent-offsets :duplicate :lost-write :unseen :G1a :precommitted-read
    :poll-skip :nonmonotonic-poll :nonmonotonic-send
    :int-poll-skip :int-nonmonotonic-poll :int-send-skip :int-nonmonotonic-send
    :G0 :G0-realtime :G1c :G1c-realtime})

(def of-the-order
  "What follows from the order of a log. Where an offset has two values or a value two offsets there are several,
  and the original takes whichever its sets give first."
  #{:poll-skip :nonmonotonic-poll :nonmonotonic-send
    :int-poll-skip :int-nonmonotonic-poll :int-send-skip :int-nonmonotonic-send
    :G0 :G0-realtime :G1c :G1c-realtime})

(defn head [file]
  (with-open [lines (io/reader file)]
    (edn/read-string (str/replace-first (first (line-seq lines)) ";" ""))))

(defn history [file]
  (with-open [lines (io/reader file)]
    (h/history (into [] (comp (drop 1) (map edn/read-string) (map h/op)) (line-seq lines)))))

(defn agreement [here there]
  (let [differ (set/difference (set/union here there) (set/intersection here there))]
    (cond
      (empty? differ) :agree
      (and (some (set/intersection here there) [:inconsistent-offsets :duplicate])
           (set/subset? differ of-the-order)) :agree-but-for-the-order
      :else :differ)))

(defn words [names]
  (if (empty? names) "nothing" (str/join " " (map name (sort names)))))

(defn judge
  "Prints a line, and says how it went."
  [file]
  (let [{:keys [found] :as test} (head file)
        ;; What it says of a record that nobody sent, whatever is wrong besides.
        errors (try (:errors (kafka/analysis (history file) (select-keys test [:ww-deps])))
                    (catch clojure.lang.ExceptionInfo error
                      (if (= :no-writer-of-value (:type (ex-data error)))
                        (ex-data error)
                        (throw error))))]
    (if (:type errors)
      (do (println (str file ": cannot be judged: nobody sent " (:value errors)
                        "; here: " (words found)))
          :not-judged)
      (let [there  (set/intersection judged (set (keys errors)))
            bad    (remove (kafka/allowed-error-types test) there)
            result (agreement found there)]
        (println (str file ": " (if (empty? bad) "valid" "invalid")
                      "; there: " (words there) "; here: " (words found) "; " (name result)))
        result))))

(let [results (mapv judge *command-line-args*)
      counts  (frequencies results)]
  (println (str (count results) " histories: "
                (str/join ", " (map (fn [[result n]] (str n " " (name result))) (sort counts)))))
  (shutdown-agents)
  (System/exit (cond (:differ counts) 1 (:not-judged counts) 2 :else 0)))
