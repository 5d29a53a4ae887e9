"""The classes that pickles of served models need, by library. Data only.

Every estimator of `sklearn.utils.all_estimators()` and what fitted ones hold, the boosters, and the tables they keep; a test
fits, dumps and loads them (tests/model_server/test_pickles_of_estimators.py). Classes are made without their constructors
unless pickle_policy.py lists them as callable: some constructors open files.
"""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# names are looked for in any module of the library: they move between releases, and mean the same wherever they are
ESTIMATORS = _names("""
ARDRegression AdaBoostClassifier AdaBoostRegressor AdditiveChi2Sampler AffinityPropagation AgglomerativeClustering
BaggingClassifier BaggingRegressor BayesianGaussianMixture BayesianRidge BernoulliNB BernoulliRBM Binarizer Birch
BisectingKMeans CCA CalibratedClassifierCV CategoricalNB ClassicalMDS ClassifierChain ColumnTransformer ComplementNB
CountVectorizer DBSCAN DecisionTreeClassifier DecisionTreeRegressor DictVectorizer DictionaryLearning DummyClassifier
DummyRegressor ElasticNet ElasticNetCV EllipticEnvelope EmpiricalCovariance ExtraTreeClassifier ExtraTreeRegressor
ExtraTreesClassifier ExtraTreesRegressor FactorAnalysis FastICA FeatureAgglomeration FeatureHasher FeatureUnion
FixedThresholdClassifier FrozenEstimator FunctionTransformer GammaRegressor GaussianMixture GaussianNB
GaussianProcessClassifier GaussianProcessRegressor GaussianRandomProjection GenericUnivariateSelect
GradientBoostingClassifier GradientBoostingRegressor GraphicalLasso GraphicalLassoCV GridSearchCV HalvingGridSearchCV
HalvingRandomSearchCV HDBSCAN
HashingVectorizer HistGradientBoostingClassifier HistGradientBoostingRegressor HuberRegressor IncrementalPCA
IsolationForest Isomap IsotonicRegression KBinsDiscretizer KMeans KNNImputer KNeighborsClassifier KNeighborsRegressor
KNeighborsTransformer KernelCenterer KernelDensity KernelPCA KernelRidge LabelBinarizer LabelEncoder LabelPropagation
LabelSpreading Lars LarsCV Lasso LassoCV LassoLars LassoLarsCV LassoLarsIC LatentDirichletAllocation LedoitWolf
LinearDiscriminantAnalysis LinearRegression LinearSVC LinearSVR LocalOutlierFactor LocallyLinearEmbedding
LogisticRegression LogisticRegressionCV MDS MLPClassifier MLPRegressor MaxAbsScaler MeanShift MinCovDet MinMaxScaler
MiniBatchDictionaryLearning MiniBatchKMeans MiniBatchNMF MiniBatchSparsePCA MissingIndicator MultiLabelBinarizer
MultiOutputClassifier MultiOutputRegressor MultiTaskElasticNet MultiTaskElasticNetCV MultiTaskLasso MultiTaskLassoCV
MultinomialNB NMF NearestCentroid NearestNeighbors NeighborhoodComponentsAnalysis Normalizer NuSVC NuSVR Nystroem OAS
OPTICS OneClassSVM OneHotEncoder OneVsOneClassifier OneVsRestClassifier OrdinalEncoder OrthogonalMatchingPursuit
OrthogonalMatchingPursuitCV OutputCodeClassifier PCA PLSCanonical PLSRegression PLSSVD PassiveAggressiveClassifier
PassiveAggressiveRegressor PatchExtractor Perceptron Pipeline PoissonRegressor PolynomialCountSketch
PolynomialFeatures PowerTransformer QuadraticDiscriminantAnalysis QuantileRegressor QuantileTransformer
RANSACRegressor RBFSampler RFE RFECV RadiusNeighborsClassifier RadiusNeighborsRegressor RadiusNeighborsTransformer
RandomForestClassifier RandomForestRegressor RandomTreesEmbedding RandomizedSearchCV RegressorChain Ridge RidgeCV
RidgeClassifier RidgeClassifierCV RobustScaler SGDClassifier SGDOneClassSVM SGDRegressor SVC SVR SelectFdr SelectFpr
SelectFromModel SelectFwe SelectKBest SelectPercentile SelfTrainingClassifier SequentialFeatureSelector
ShrunkCovariance SimpleImputer SkewedChi2Sampler SparseCoder SparsePCA SparseRandomProjection SpectralBiclustering
SpectralClustering SpectralCoclustering SpectralEmbedding SplineTransformer StackingClassifier StackingRegressor
StandardScaler TSNE TargetEncoder TfidfTransformer TfidfVectorizer TheilSenRegressor TransformedTargetRegressor
TruncatedSVD TunedThresholdClassifierCV TweedieRegressor VarianceThreshold VotingClassifier VotingRegressor
""")
# what fitted estimators hold: losses, links, kernels, distances, trees, folds of searches, calibrators, optimizers
PARTS = _names("""
AbsoluteError AdamOptimizer BallTree BallTree32 BallTree64 BrayCurtisDistance32 BrayCurtisDistance64 Bunch
CanberraDistance32 CanberraDistance64 ChebyshevDistance32 ChebyshevDistance64 CompoundKernel ConstantKernel
CyAbsoluteError CyExponentialLoss CyHalfBinomialLoss CyHalfGammaLoss CyHalfMultinomialLoss CyHalfPoissonLoss
CyHalfSquaredError CyHalfTweedieLoss CyHalfTweedieLossIdentity CyHuberLoss CyPinballLoss DiceDistance32 DiceDistance64
DistanceMetric DistanceMetric32 DistanceMetric64 DotProduct EpsilonInsensitive EuclideanDistance32 EuclideanDistance64
ExpSineSquared ExponentialLoss Exponentiation GroupKFold GroupShuffleSplit HalfBinomialLoss HalfBinomialLossArrayAPI
HalfGammaLoss HalfLogitLink HalfMultinomialLoss HalfMultinomialLossArrayAPI HalfPoissonLoss HalfPoissonLossArrayAPI
HalfSquaredError HalfTweedieLoss HalfTweedieLossIdentity HammingDistance32 HammingDistance64 HaversineDistance32
HaversineDistance64 Hinge HuberLoss Hyperparameter IdentityLink Interval JaccardDistance32 JaccardDistance64 KDTree
KDTree32 KDTree64 KFold KulsinskiDistance32 KulsinskiDistance64 LeaveOneGroupOut LeaveOneOut LeavePGroupsOut LeavePOut
LogLink LogitLink MahalanobisDistance32 MahalanobisDistance64 ManhattanDistance32 ManhattanDistance64
MatchingDistance32 MatchingDistance64 Matern MetadataRequest MethodMetadataRequest MinkowskiDistance32
MinkowskiDistance64 ModifiedHuber MultinomialLogit PairwiseKernel PinballLoss PredefinedSplit Product RBF
RationalQuadratic RepeatedKFold RepeatedStratifiedKFold RequestMethod RogersTanimotoDistance32
RogersTanimotoDistance64 RussellRaoDistance32 RussellRaoDistance64 SEuclideanDistance32 SEuclideanDistance64
SGDOptimizer ShuffleSplit SokalMichenerDistance32 SokalMichenerDistance64 SokalSneathDistance32 SokalSneathDistance64
SquaredEpsilonInsensitive SquaredHinge StratifiedGroupKFold StratifiedKFold StratifiedShuffleSplit Sum TimeSeriesSplit
Tree TreePredictor WhiteKernel _BaseScorer _BinMapper _BinaryGaussianProcessClassifierLaplace _BisectingTree _CFNode
_CFSubcluster _CVIterableWrapper _CalibratedClassifier _ConstantPredictor _CurveScorer _MultimetricScorer
_PassthroughScorer _Scorer _SigmoidCalibration _TemperatureScaling make_column_selector
""")
# what estimators of earlier releases (1.2 to 1.8) hold; a model is loaded in the release it names
EARLIER = _names("""
BinomialDeviance MultinomialDeviance LeastSquaresError LeastAbsoluteError HuberLossFunction QuantileLossFunction Log
LeastSquares Huber SquaredLoss
""")
XGBOOST = frozenset(
    {"Booster", "XGBClassifier", "XGBModel", "XGBRFClassifier", "XGBRFRegressor", "XGBRanker", "XGBRegressor"}
)
LIGHTGBM = frozenset({"Booster", "LGBMClassifier", "LGBMModel", "LGBMRanker", "LGBMRegressor"})
PANDAS = _names("""
Float64Index Int64Index UInt64Index NumericIndex
ArrowDtype BlockManager BooleanArray BooleanDtype Categorical CategoricalDtype CategoricalIndex DataFrame DatetimeArray
DatetimeIndex DatetimeTZDtype Float32Dtype Float64Dtype FloatingArray Index Int16Dtype Int32Dtype Int64Dtype Int8Dtype
IntegerArray Interval IntervalDtype IntervalIndex MultiIndex NA RangeIndex Series SingleBlockManager StringArray StringDtype
TimedeltaArray TimedeltaIndex Timedelta Timestamp UInt16Dtype UInt32Dtype UInt64Dtype UInt8Dtype
""")
# models of a table, their results and wrappers, and what generalized linear models hold. Time series answer no rows, and are
# not here; a formula is code, which engines/statsmodels_results.py reads before it is evaluated
STATSMODELS = _names("""
OLS WLS GLS GLSAR OLSResults RegressionResults RegressionResultsWrapper QuantReg QuantRegResults QuantRegResultsWrapper
RLM RLMResults RLMResultsWrapper HuberT LeastSquares TukeyBiweight AndrewWave Hampel RamsayE TrimmedMean
GLM GLMResults GLMResultsWrapper Binomial Gamma Gaussian InverseGaussian NegativeBinomial Poisson Tweedie
Logit Probit Log CLogLog LogLog Cauchy Identity InversePower InverseSquared Power Sqrt SQRT LogC NegativeInverseSquared
CDFLink VarianceFunction
LogitResults ProbitResults BinaryResults BinaryResultsWrapper MNLogit MultinomialResults MultinomialResultsWrapper
PoissonResults PoissonResultsWrapper CountResults CountResultsWrapper GeneralizedPoisson GeneralizedPoissonResults
GeneralizedPoissonResultsWrapper NegativeBinomialResults NegativeBinomialResultsWrapper NegativeBinomialP
NegativeBinomialPResults NegativeBinomialPResultsWrapper L1BinaryResults L1BinaryResultsWrapper L1CountResults
L1CountResultsWrapper RegularizedResults RegularizedResultsWrapper
ModelData PandasData
""")
SCIPY_INTERPOLATE = frozenset({"BSpline", "PPoly", "interp1d", "PchipInterpolator"})
NUMPY_RANDOM = frozenset(
    {"Generator", "MT19937", "PCG64", "PCG64DXSM", "Philox", "RandomState", "SFC64", "SeedSequence"}
)
# parts of scikit-learn that load, fetch, compile or test things instead of predicting
EXCLUDED = (
    "sklearn.datasets",
    "sklearn.externals",
    "sklearn.utils._testing",
    "sklearn.utils.estimator_checks",
    "sklearn.utils._joblib",
    "sklearn.utils.parallel",
    "sklearn.conftest",
    "sklearn.callback",
    "pandas.core.computation",
    "pandas.io",
)
# what searches and scorers hold; computed from numbers they are given
SCORES = _names("""
accuracy_score average_precision_score balanced_accuracy_score brier_score_loss explained_variance_score f1_score fbeta_score
jaccard_score log_loss matthews_corrcoef max_error mean_absolute_error mean_absolute_percentage_error mean_pinball_loss
mean_squared_error mean_squared_log_error median_absolute_error precision_score r2_score recall_score roc_auc_score
root_mean_squared_error root_mean_squared_log_error top_k_accuracy_score
""")
# functions of numpy that transformers hold, and its types
UFUNCS = _names("""
log log1p log2 log10 exp expm1 exp2 sqrt square cbrt absolute fabs negative sign reciprocal sin cos tan arcsin arccos
arctan sinh cosh tanh arcsinh arctanh floor ceil rint trunc isnan isfinite identity nan_to_num mean median
""")
SCALARS = _names("""
dtype ndarray bool bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 str_ bytes_
datetime64 timedelta64
""")
